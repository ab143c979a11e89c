"""What alerts of weights that are kept (preload) are for, done to what keeps them."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.kept_weights import short_folder
from tests.helpers.preloading import preloading
from tests.helpers.site import Site
from tests.integration.causes.conftest import Watch, Watched, about

STATE = "vllmd_engine_weights_state"


@pytest.fixture(scope="module")
def host() -> Iterator[Site]:
    with short_folder() as folder, preloading(folder) as made:
        yield made


@pytest.fixture
def pages(host: Site, watch: Watch, alert: str) -> Watched:
    """The pages so far, of a host whose engine serves, and whose weights are kept."""
    if weights(host)["state"] != "ready":
        assert host.vllmd("restart", "chat", "--wait").returncode == 0
    return watch(host, alert).until(f'{STATE}{{state="ready"}}', 1).well()


def weights(host: Site) -> dict[str, Any]:
    found: dict[str, Any] = host.engine("chat")["weights"]
    return found


@about("VllmdWeightsLost")
def test_weights_whose_keeper_dies(host: Site, pages: Watched) -> None:
    os.kill(weights(host)["pid"], signal.SIGKILL)
    pages.until(f'{STATE}{{state="absent"}}', 1).look(10)
    assert not pages.only()


@about("VllmdWeightsUnresponsive")
def test_weights_whose_keeper_does_not_answer_the_next_daemon(host: Site, pages: Watched) -> None:
    shim = weights(host)["shim_pid"]
    os.kill(shim, signal.SIGSTOP)
    try:
        host.kill_daemon()
        host.start()
        pages.until(f'{STATE}{{state="unresponsive"}}', 1)
        # for as long as it is told that the daemon was killed
        pages.until('vllmd_engine_up{vllmd_engine="chat"}', 1).look(40)
        assert not pages.only()
    finally:
        os.kill(shim, signal.SIGCONT)
        pages.until(f'{STATE}{{state="ready"}}', 1)
