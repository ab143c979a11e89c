"""A real vLLM under a daemon that is late: found if it hangs, left alone if it serves."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.engine.conftest import HANG_S, LOAD_S, REPORT, STALL_S
from tests.helpers.hanging import Flight, frozen, throttled
from tests.helpers.outcomes import Outcome
from tests.helpers.site import Load, Site, gone, wait_for

SHORT_STALL_S, SHORT_HANG_S = 5, 10
CORE = "VLLM::EngineCore"

SOME = (1.5, 0.5)
"""How long the daemon is stopped, and how long it runs, in seconds."""
HARDLY = (6.0, 0.02)
"""It runs just long enough to ask, and gets each answer too late."""
LONG_STOP_S = 40.0


@pytest.fixture(autouse=True)
def short(real: Site) -> Iterator[None]:
    """Short limits, put into force while the engine serves."""
    real.wait_state("tiny", "ready", LOAD_S)
    with limits(real, SHORT_STALL_S, SHORT_HANG_S):
        yield


@contextmanager
def limits(made: Site, stall_s: int, hang_s: int) -> Iterator[None]:
    usual = made.config.read_text()
    text = re.sub(rf"\bstall_s = {STALL_S}\n", f"stall_s = {stall_s}\n", usual)
    text = re.sub(rf"\bhang_s = {HANG_S}\n", f"hang_s = {hang_s}\n", text)
    _reload(made, text)
    try:
        yield
    finally:
        _reload(made, usual)


def _reload(made: Site, text: str) -> None:
    made.config.write_text(text)
    result = made.vllmd("reload")
    assert result.returncode == 0, result.stderr
    assert "liveness.stall_s" in result.stdout, result.stdout
    assert "liveness.hang_s" in result.stdout, result.stdout


def test_serving_engine_under_a_throttled_daemon_is_left_alone(
    real: Site, outcome: Outcome
) -> None:
    before, tree = real.engine("tiny"), list(real.tree("tiny").values())
    count = real.log().count("state=stalled")
    with Load(real, clients=4, tokens=100) as load:
        with throttled(real, *SOME):
            time.sleep(16)
        with throttled(real, *HARDLY):
            time.sleep(36)
        with throttled(real, LONG_STOP_S, 5):
            time.sleep(1)
        after = real.engine("tiny")
    assert load.failed == []
    assert load.served > 0
    assert real.log().count("state=stalled") == count, real.log()[-3000:]
    assert (after["run_id"], after["restarts"]) == (before["run_id"], before["restarts"])
    assert after["state"] == "ready"
    assert all(not gone(stat) for stat in tree)
    assert "vllmd itself is late by" in real.vllmd("status").stdout
    text = (
        f"{load.served} requests of 4 clients, stall_s = {SHORT_STALL_S}, hang_s = {SHORT_HANG_S}: "
        "0 stalled, 0 restarts, 0 failed; status says how late vllmd is"
    )
    outcome(
        "full load, the daemon stopped (SIGSTOP) in bursts of 1.5 s with 0.5 s between them, "
        "of 6 s with 0.02 s between them, and for 40 s",
        text,
    )
    REPORT.append(f"throttled daemon, engine that serves: {text}")


def test_core_that_hangs_under_a_throttled_daemon_is_found_and_replaced(
    real: Site, outcome: Outcome
) -> None:
    before, old = real.engine("tiny"), list(real.tree("tiny").values())
    count = real.log().count("state=stalled")
    flight = Flight(real)
    began = time.monotonic()
    with frozen(real, CORE), throttled(real, *SOME):
        assert httpx.get(f"{real.api}/health", trust_env=False).status_code == 200
        wait_for("stalled", lambda: real.log().count("state=stalled") > count, LOAD_S)
        found_s = time.monotonic() - began
        wait_for("the end of the tree", lambda: gone(*old), LOAD_S)
        after = real.wait_new_run("tiny", before, LOAD_S)
        serving_s = time.monotonic() - began
        assert real.chat("tiny") is not None
    flight.join()
    assert after["last_exit"]["diagnosis"]["cause"] == "stalled"
    assert after["restarts"] == before["restarts"] + 1
    text = (
        f"/health stays 200; stalled after {found_s:.0f} s (stall_s = {SHORT_STALL_S}, hang_s = "
        f"{SHORT_HANG_S}), killed, serving again after {serving_s:.0f} s"
    )
    outcome(
        "EngineCore hangs (SIGSTOP) with a request in flight, the daemon stopped in bursts of "
        "1.5 s with 0.5 s between them",
        text,
    )
    REPORT.append(f"throttled daemon, EngineCore stopped: {text}")
