import json
import subprocess
import sys
from typing import Any

import pytest

ASK = """
import json, sys
from vllmd.cli import run
found = "rich" in sys.modules
import httpx, structlog, rich.console

import pytest
print(json.dumps([found, structlog.dev.rich is not None, callable(httpx.main)]))
"""


def asked(text: str) -> Any:
    said = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)


@pytest.mark.long
def test_daemon_has_no_rich_and_whoever_wants_it_later_has_it() -> None:
    assert asked(ASK) == [False, False, True]


@pytest.mark.long
def test_rich_that_is_there_before_is_left() -> None:
    assert asked(f"import rich\n{ASK}") == [True, True, True]
