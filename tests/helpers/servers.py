"""A real server of somebody else's, run for a test."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.site import needs, wait_for


@contextmanager
def running(program: str, *arguments: str, log: Path, up: Callable[[], Any]) -> Iterator[None]:
    """Run a program until the end of the block; its output goes to `log`, `up` says it is there."""
    needs(program)
    with log.open("wb") as file:
        process = subprocess.Popen([program, *arguments], stdout=file, stderr=file)
    try:
        wait_for(program, up)
        yield
    finally:
        process.terminate()
        process.wait(30)
