"""Hangs of a real vLLM's processes, and the end of one that serves."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator

import httpx

from tests.engine.conftest import HANG_S, LOAD_S, REPORT, STALL_S
from tests.helpers.hanging import TOKENS, Flight, frozen
from tests.helpers.outcomes import Outcome
from tests.helpers.real import shared_memory
from tests.helpers.site import Load, Site, gone, wait_for
from vllmd.shim import proc

SLACK_S = 20.0


def stalled_after(made: Site, began: float, count: int) -> float:
    wait_for("stalled", lambda: made.log().count("state=stalled") > count, HANG_S + 60)
    return time.monotonic() - began


def test_core_that_hangs_with_work_is_found_and_replaced(real: Site, outcome: Outcome) -> None:
    before, old = real.engine("tiny"), list(real.tree("tiny").values())
    count = real.log().count("state=stalled")
    flight = Flight(real)
    began = time.monotonic()
    with frozen(real, "VLLM::EngineCore"):
        assert httpx.get(f"{real.api}/health", trust_env=False).status_code == 200
        found_s = stalled_after(real, began, count)
        after = real.wait_new_run("tiny", before, LOAD_S)
    flight.join()
    assert gone(*old)
    cause = after["last_exit"]["diagnosis"]
    assert cause["cause"] == "stalled"
    assert found_s <= HANG_S + SLACK_S
    newest = sorted((real.folder / "state" / "incidents").iterdir())[-1]
    about = json.loads((newest / "reason.json").read_text())
    stacks = (newest / "stacks.txt").read_text()
    assert "run_busy_loop" in stacks, stacks
    states = {each["title"].split(" ")[0]: each["state"] for each in about["processes"]}
    assert states["VLLM::EngineCore"] == "T"
    assert real.chat("tiny") is not None
    text = (
        f"/health stays 200; stalled after {found_s:.0f} s (stall_s = {STALL_S}, hang_s = "
        f"{HANG_S}), looked into, killed, serving again after {time.monotonic() - began:.0f} s"
    )
    outcome("EngineCore hangs (SIGSTOP) with a request in flight", text)
    REPORT.append(f"EngineCore stopped with work: {text}; {after['last_exit']['error']}")


def test_api_server_that_hangs_is_found_and_replaced(real: Site, outcome: Outcome) -> None:
    before, old = real.engine("tiny"), list(real.tree("tiny").values())
    count = real.log().count("state=stalled")
    began = time.monotonic()
    os.kill(before["pid"], signal.SIGSTOP)
    found_s = stalled_after(real, began, count)
    after = real.wait_new_run("tiny", before, LOAD_S)
    assert gone(*old)
    assert after["last_exit"]["diagnosis"]["cause"] == "stalled"
    serving_s = time.monotonic() - began
    text = f"stalled after {found_s:.0f} s, killed, serving again after {serving_s:.0f} s"
    outcome("API server hangs (SIGSTOP)", text)
    REPORT.append(f"API server stopped: {text}; {after['last_exit']['error']}")


def test_core_that_hangs_at_rest_is_found_by_the_canary(real: Site, outcome: Outcome) -> None:
    before = real.engine("tiny")
    count = real.log().count("state=stalled")
    began = time.monotonic()
    with frozen(real, "VLLM::EngineCore"):
        found_s = stalled_after(real, began, count)
        after = real.wait_new_run("tiny", before, LOAD_S)
    assert "rank canary" in after["last_exit"]["error"]
    text = f"stalled after {found_s:.0f} s by the canary (every 10 s), killed, serving again"
    outcome("EngineCore hangs while idle, canary on", text)
    REPORT.append(f"EngineCore stopped at rest: {text}")


def test_busy_and_idle_are_no_stall(real: Site, outcome: Outcome) -> None:
    """Full load, more than it runs at once, then rest, and a pause of the core: no restart."""
    before = real.engine("tiny")
    with Load(real, clients=8, tokens=100) as load:
        time.sleep(STALL_S + 3)
    time.sleep(STALL_S + 3)
    with frozen(real, "VLLM::EngineCore"):
        time.sleep(STALL_S / 3)
    time.sleep(3)
    after = real.engine("tiny")
    assert load.failed == []
    assert (after["run_id"], after["restarts"]) == (before["run_id"], before["restarts"])
    text = f"{load.served} requests of 8 clients, then rest: 0 restarts, 0 failed"
    outcome("full load, rest, a short pause of the core", text)


def test_stop_is_red_first_and_lets_a_request_finish(real: Site, outcome: Outcome) -> None:
    old = list(real.tree("tiny").values())
    flight = Flight(real, answers=4)
    began = time.monotonic()
    stopping = threading.Thread(target=real.vllmd, args=("stop", "tiny"))
    stopping.start()
    wait_for("draining", lambda: real.engine("tiny")["state"] == "draining")
    assert real.ready("tiny") == 503
    flight.join()
    answered_s = flight.ended_at - began
    stopping.join()
    assert flight.error is None
    assert flight.tokens == 4 * TOKENS
    assert real.engine("tiny")["state"] == "stopped"
    assert gone(*old)
    assert "requests_left=0" in real.log()
    text = (
        f"/ready red first; a request for four answers was answered {answered_s:.1f} s after the "
        f"stop was asked for; ended after {time.monotonic() - began:.1f} s, nothing left"
    )
    outcome("stop with a request in flight", text)
    REPORT.append(f"stop with a request in flight: {text}")
    result = real.vllmd("start", "tiny", "--wait", "--timeout", str(LOAD_S))
    assert result.returncode == 0, result.stderr


def test_kill_of_the_shim_leaves_nothing_behind(real: Site, outcome: Outcome) -> None:
    shm = shared_memory() - set(_of_tree(real))
    before, old = real.engine("tiny"), list(real.tree("tiny").values())
    began = time.monotonic()
    os.kill(before["shim_pid"], signal.SIGKILL)
    after = real.wait_new_run("tiny", before, LOAD_S)
    assert gone(*old)
    assert after["last_exit"]["diagnosis"]["cause"] == "shim_lost"
    left = shared_memory() - set(_of_tree(real)) - shm
    assert left == set()
    removed = real.log().count("engine.leftovers_removed")
    text = (
        f"tree ended, shared memory removed, serving again after {time.monotonic() - began:.0f} s"
    )
    outcome("kill -9 of the shim", text)
    REPORT.append(f"kill -9 of the shim: {text} ({removed} logs of removed leftovers)")


def _of_tree(made: Site) -> Iterator[str]:
    """Yield the names in /dev/shm whose files the engine's processes map, under whatever name."""
    names = {entry.inode(): entry.name for entry in os.scandir("/dev/shm")}
    for stat in proc.descendants(made.engine("tiny")["shim_pid"]):
        with open(f"/proc/{stat.pid}/maps") as maps:
            for line in maps:
                inode = int(line.split()[4])
                if "/dev/shm/" in line and inode in names:
                    yield names[inode]
