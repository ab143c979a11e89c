"""What holds for every tier."""

import signal


def pytest_configure() -> None:
    """Undo what a shell does to what it runs in the background: SIGINT ignored, children too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
