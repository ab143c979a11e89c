"""The image, made once; what cannot be made here fails in CI, and is said elsewhere."""

import fcntl
import os
from pathlib import Path

import pytest

from tests.container.box import MEMORY
from tests.container.image import Image, build, described
from tests.helpers.site import skip_or_fail


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Image:
    """Return the image, which workers of one run share."""
    if os.geteuid() != 0:
        skip_or_fail("a container is made of namespaces, which needs root")
    if not (MEMORY / "memory.limit_in_bytes").exists():
        skip_or_fail(f"no memory controller of version 1 at {MEMORY}")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "image"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "root").exists():
            build(folder)
    return described(folder / "root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose parents the container's user may pass."""
    return tmp_path
