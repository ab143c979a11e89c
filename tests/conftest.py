"""What holds for every tier."""

import signal

from hypothesis import HealthCheck, settings


def pytest_configure() -> None:
    """Undo what a shell does to what it runs in the background: SIGINT ignored, children too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    slow = [HealthCheck.too_slow]  # no test asserts wall time
    settings.register_profile("vllmd", deadline=None, suppress_health_check=slow)
    settings.load_profile("vllmd")
