"""All classes of events."""

import importlib
import pkgutil

import vllmd.events
from vllmd.events.base import TypedEvent

MODULES = [each.name for each in pkgutil.iter_modules(vllmd.events.__path__)]
CLASSES = [
    value
    for module in MODULES
    for value in vars(importlib.import_module(f"vllmd.events.{module}")).values()
    if isinstance(value, type) and issubclass(value, TypedEvent) and value is not TypedEvent
]
