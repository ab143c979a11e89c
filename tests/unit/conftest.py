"""Unit tests have a host of their own: its home, its shared memory; the real one is not touched."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from tests.helpers.host import Host
from tests.helpers.shares import is_left_to_others
from tests.helpers.web import CERTIFICATES
from vllmd.engine.stopping import cleanup
from vllmd.history import store, writer
from vllmd.http import asgi_server

LEFT_BEHIND = (
    "error::pytest.PytestUnraisableExceptionWarning",
    "error::pytest.PytestUnhandledThreadExceptionWarning",
    "error:coroutine .* was never awaited:RuntimeWarning",
)
"""What a test leaves to the garbage collector, or to a thread, fails a test."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave to the other workers of `make unit` what is theirs."""
    return is_left_to_others(collection_path, Path(__file__).parent) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hold this tier alone to it: other tiers kill whole processes."""
    here = Path(__file__).parent
    for module in {item.getparent(pytest.Module) for item in items}:
        if module is not None and module.path.is_relative_to(here):
            for each in LEFT_BEHIND:
                module.add_marker(pytest.mark.filterwarnings(each))


@pytest.fixture(scope="session")
def home(real_host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give all tests together a home without anything in it."""
    assert real_host  # which knows the real home
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "VLLM_CACHE_ROOT"):
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture(scope="session")
def real_host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Watch the host that the tests run on."""
    cache = os.path.expanduser("~/.cache")
    return Host("/run", "/var", cache, own=tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session", autouse=True)
def no_fsync() -> Iterator[None]:
    """Wait for no disk: the host stays on. What has to be synced is tested where it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(store, "SYNCHRONOUS", "OFF")
        yield


@pytest.fixture(scope="session", autouse=True)
def no_courtesy() -> Iterator[None]:
    """Give no client and no further event the moment that they get in service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asgi_server, "SETTLE_S", 0.0)
        patch.setattr(writer, "GROUP_S", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def few_authorities() -> Iterator[None]:
    """Trust one authority: no test asks the internet, and each client of httpx reads them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certifi, "where", lambda: str(CERTIFICATES / "authority.pem"))
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def shared_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give all tests together a folder in place of /dev/shm, empty for each."""
    return tmp_path_factory.mktemp("shm")


@pytest.fixture(autouse=True)
def host(
    real_host: Host, home: Path, shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    """Fail a test that would touch what is not its own."""
    monkeypatch.setattr(cleanup, "SHARED_MEMORY", shared_memory)
    with real_host.watched():
        yield real_host
    for left in os.scandir(shared_memory):
        shutil.rmtree(left) if left.is_dir() else os.unlink(left)
