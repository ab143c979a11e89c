"""What holds for every tier."""

import faulthandler
import gc
import os
import signal
import time

import pytest
import structlog
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import HealthCheck, settings

ENDLESS_S = float(os.environ.get("VLLMD_TESTS_ENDLESS_S", "2700"))
"""The longest fixtures install a vLLM, or boot a Debian in an emulated machine."""
_armed_at = pytest.StashKey[float]()


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


def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Have a test that waits for ever end its process, with all stacks, so that it holds up nobody.

    pytest's own `faulthandler_timeout` costs a thread for each test. This one begins anew after
    seconds, so the bound is of a test and of what ran in the seconds before.
    """
    now, config = time.monotonic(), item.config
    if now - config.stash.get(_armed_at, -ENDLESS_S) > ENDLESS_S / 100:
        config.stash[_armed_at] = now
        stderr = config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(ENDLESS_S, exit=True, file=stderr)


def pytest_unconfigure() -> None:
    """Let what follows the tests last as long as it likes."""
    faulthandler.cancel_dump_traceback_later()
