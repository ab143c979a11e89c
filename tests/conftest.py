"""What holds for every tier."""

import gc
import os
import signal

import structlog
from hypothesis import HealthCheck, settings


def pytest_configure() -> None:
    """Undo what a shell does to what it runs in the background: SIGINT ignored, children too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    slow = [HealthCheck.too_slow]  # no test asserts wall time
    same = "CI" in os.environ  # the same examples each time; elsewhere new ones may find something
    settings.register_profile("vllmd", deadline=None, suppress_health_check=slow, derandomize=same)
    settings.load_profile("vllmd")
    console = structlog.dev.ConsoleRenderer.get_active()
    console.exception_formatter = structlog.dev.plain_traceback  # rich takes 0.1 s for each
    gc.disable()  # while tests are collected: what is made then stays


def pytest_collection_finish() -> None:
    """Keep what was collected out of each later look of the garbage collector: it costs seconds."""
    gc.freeze()
    gc.enable()
