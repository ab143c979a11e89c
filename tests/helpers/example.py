"""The example service, imported from its folder as its users have it."""

import importlib.util
from pathlib import Path
from types import ModuleType

APP = Path(__file__).parents[2] / "examples" / "rag_service" / "app.py"


def rag_service() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rag_service_app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
