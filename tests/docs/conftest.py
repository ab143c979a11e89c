"""The site, built once, and one browser for all tests of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.browser import Browser, browsing
from tests.helpers.documents import ROOT


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does; a warning fails it."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-W", "-n", "-q", "--keep-going", "-d", str(folder / "tree"), "-b", "html"]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as made:
        yield made


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where a person finds what the site looked like."""
    return ROOT / "build" / "docs" / "pictures"
