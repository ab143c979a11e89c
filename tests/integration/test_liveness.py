"""Hangs of the stand-in's processes: found in time, looked into, ended; and nothing else is."""

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.flight import Flight, asked_twice
from tests.helpers.outcomes import Outcome
from tests.helpers.site import Load, Site, gone, wait_for
from tests.integration.conftest import serving
from vllmd.shim import proc

STALL_S, HANG_S = 2.0, 5.0
SLACK_S = 6.0
"""Polls, the diagnosis and a busy machine; a bound of the test, not of vllmd."""


def stop_process(made: Site, title: str) -> None:
    stat = made.process("chat", title)
    os.kill(stat.pid, signal.SIGSTOP)


def stalled_after(made: Site, began: float) -> float:
    """Wait for the verdict; the state itself may last for milliseconds only."""
    wait_for("stalled", lambda: "state=stalled" in made.log())
    return time.monotonic() - began


def incident_of(made: Site) -> dict[str, Any]:
    (folder,) = (made.folder / "state" / "incidents").iterdir()
    found: dict[str, Any] = json.loads((folder / "reason.json").read_text())
    assert "Application startup complete" in (folder / "last-lines.log").read_text()
    stacks = (folder / "stacks.txt").read_text()
    assert "run (vllmd/demo/core.py" in stacks, stacks
    return found


def test_core_that_hangs_with_work_is_found_killed_and_replaced(
    chat: Site, outcome: Outcome
) -> None:
    before, old = chat.engine("chat"), list(chat.tree("chat").values())
    with Flight(chat):
        began = time.monotonic()
        stop_process(chat, "VLLM::EngineCore")
        found_s = stalled_after(chat, began)
        after = chat.wait_new_run("chat", before, 30)
    assert gone(*old)
    assert found_s <= STALL_S + SLACK_S
    assert after["last_exit"]["diagnosis"]["cause"] == "stalled"
    assert after["exits"] == [{"code": "stalled", "requested": False, "count": 1}]
    states = {each["title"].split(" ")[0]: each["state"] for each in incident_of(chat)["processes"]}
    assert states["VLLM::EngineCore"] == "T"
    assert chat.chat("tiny")
    outcome(
        "EngineCore hangs (SIGSTOP) with a request in flight",
        f"stalled after {found_s:.0f} s (stall_s = {STALL_S:g}), killed, serving again",
    )


def test_core_that_hangs_while_it_computes_gets_the_long_limit(
    tmp_path: Path, outcome: Outcome
) -> None:
    """A step that takes for ever with all of its CPU: told from a prefill by its length only."""
    with serving(tmp_path, env={"VLLMD_STAND_IN_PREFILL_S": "20"}) as made:
        before = made.engine("chat")
        began = time.monotonic()
        with asked_twice(made):
            found_s = stalled_after(made, began)
            after = made.wait_new_run("chat", before, 30)
    assert HANG_S <= found_s <= HANG_S + SLACK_S
    assert "used CPU" in after["last_exit"]["error"]
    outcome("a step that computes without end", f"stalled after {found_s:.0f} s (hang_s = 5)")


def test_core_that_hangs_at_rest_is_found_by_the_canary(tmp_path: Path, outcome: Outcome) -> None:
    with serving(tmp_path, canary="true") as made:
        before = made.engine("chat")
        began = time.monotonic()
        stop_process(made, "VLLM::EngineCore")
        after = made.wait_new_run("chat", before, 40)
        assert "rank canary" in after["last_exit"]["error"]
        outcome(
            "EngineCore hangs while idle, canary on",
            f"stalled, killed, serving again after {time.monotonic() - began:.0f} s",
        )


def test_core_that_hangs_at_rest_without_a_canary_is_left_alone(chat: Site) -> None:
    """Nothing on the page can tell it from an idle engine: said in docs/reliability.md."""
    before = chat.engine("chat")
    core = chat.process("chat", "VLLM::EngineCore")
    os.kill(core.pid, signal.SIGSTOP)
    time.sleep(STALL_S + 3)
    os.kill(core.pid, signal.SIGCONT)
    assert chat.engine("chat")["run_id"] == before["run_id"]
    assert chat.chat("tiny")


def test_api_server_that_hangs_is_found_killed_and_replaced(chat: Site, outcome: Outcome) -> None:
    before = chat.engine("chat")
    began = time.monotonic()
    os.kill(before["pid"], signal.SIGSTOP)
    after = chat.wait_new_run("chat", before, 60)
    assert "does not answer" in after["last_exit"]["error"]
    assert chat.chat("tiny")
    outcome(
        "API server hangs (SIGSTOP)",
        f"stalled, killed, serving again after {time.monotonic() - began:.0f} s",
    )


def test_short_pause_of_the_core_is_no_stall(chat: Site) -> None:
    before = chat.engine("chat")
    with Flight(chat):
        core = chat.process("chat", "VLLM::EngineCore")
        os.kill(core.pid, signal.SIGSTOP)
        time.sleep(STALL_S / 2)
        os.kill(core.pid, signal.SIGCONT)
        chat.vllmd("restart", "chat", "--wait")  # ends the long request
    after = chat.engine("chat")
    assert after["restarts"] == before["restarts"] == 0


def test_load_that_stands_still_is_found_and_tried_again(tmp_path: Path, outcome: Outcome) -> None:
    with serving(tmp_path, env={"VLLMD_STAND_IN_LOAD_S": "3"}) as made:
        before = made.engine("chat")
        made.vllmd("restart", "chat")
        wait_for("another load", lambda: loading_core(made, before))
        began = time.monotonic()
        core = loading_core(made, before)
        assert core is not None
        os.kill(core.pid, signal.SIGSTOP)
        found_s = stalled_after(made, began)
        after = made.wait_state("chat", "ready", 60)
        assert after["last_exit"]["label"] == "load_stalled"
        assert after["last_exit"]["diagnosis"]["cause"] == "load_stalled"
        assert after["phases"]["spawn"] > 0
        outcome(
            "EngineCore hangs while loading",
            f"load stalled after {found_s:.0f} s (load_stall_s = 2), killed, loaded again",
        )


def loading_core(made: Site, before: dict[str, Any]) -> proc.Stat | None:
    engine = made.engine("chat")
    if engine["state"] != "loading" or engine["run_id"] == before["run_id"]:
        return None
    tree = made.tree("chat")
    return next((s for title, s in tree.items() if title.startswith("VLLM::EngineCore")), None)


@pytest.mark.parametrize("seed", [1])
def test_randomised_busy_and_idle_has_no_false_restart(
    tmp_path: Path, seed: int, outcome: Outcome
) -> None:
    """Bursts, rests, long prefills and pauses shorter than the limit, for 20 s."""
    dice = random.Random(seed)
    with serving(tmp_path, canary="true", env={"VLLMD_STAND_IN_PREFILL_S": "0.01"}) as made:
        before = made.engine("chat")
        requests = rests = 0
        ended = time.monotonic() + 20
        with Load(made, clients=0) as load:
            while time.monotonic() < ended:
                pattern = dice.choice(["burst", "rest", "prefill", "pause"])
                if pattern == "rest":
                    rests += 1
                    time.sleep(dice.uniform(0.5, STALL_S * 2))
                elif pattern == "burst":
                    with Load(
                        made, clients=dice.randint(1, 8), tokens=dice.randint(1, 200)
                    ) as each:
                        time.sleep(dice.uniform(0.5, 3))
                    requests += each.served
                    load.failed += each.failed
                elif pattern == "prefill":  # one step of up to 3 s, all of it CPU
                    made.chat("tiny", text="word " * dice.randint(100, 300))
                    requests += 1
                else:
                    core = made.process("chat", "VLLM::EngineCore")
                    os.kill(core.pid, signal.SIGSTOP)
                    time.sleep(STALL_S / 3)
                    os.kill(core.pid, signal.SIGCONT)
        after = made.engine("chat")
        assert load.failed == []
        assert (after["run_id"], after["restarts"]) == (before["run_id"], 0)
        assert "state=stalled" not in made.log()
        outcome(
            "20 s of random bursts, rests, long prefills and short pauses",
            f"{requests} requests, {rests} rests: 0 restarts, 0 failed",
        )
