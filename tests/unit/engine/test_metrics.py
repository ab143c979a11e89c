import os
from typing import Any

import attrs
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import status
from tests.helpers.metrics import values
from vllmd.engine.causes import BY_NAME
from vllmd.engine.doubts import Doubt, Doubts
from vllmd.engine.exits import Exit, explain
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.group_interface import AwaitedHost, GroupStatus
from vllmd.engine.metrics import DoubtsCollector, EnginesCollector, UsageCollector
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State, Trigger
from vllmd.engine.weights.state import WeightsState, WeightsStatus


def found_for(**more: Any) -> dict[tuple[str, ...], float]:
    return values(EnginesCollector(lambda: [status(**more)], FakeClock()).collect())


def info_of(collector: EnginesCollector, name: str = "vllmd_engine_info") -> dict[str, str]:
    """Return the labels of the one sample of a family."""
    (found,) = (s for each in collector.collect() if each.name == name for s in each.samples)
    assert found.value == 1
    return dict(found.labels)


def test_collect_ready_engine() -> None:
    found = found_for(
        uptime_s=100.0,
        start_duration_s=35.5,
        restarts=2,
        requests_lost=5,
        exits={("0", False): 2, ("SIGKILL", True): 1},
    )
    assert found["vllmd_engine_up", "chat"] == 1
    assert found["vllmd_engine_takes_requests", "chat"] == 1
    assert found["vllmd_engine_uptime_seconds", "chat"] == 100
    assert found["vllmd_engine_start_duration_seconds", "chat"] == 35.5
    assert found["vllmd_engine_restarts_total", "chat"] == 2
    assert found["vllmd_requests_lost_total", "chat"] == 5
    assert found["vllmd_engine_exits_total", "0", "false", "chat"] == 2
    assert found["vllmd_engine_exits_total", "SIGKILL", "true", "chat"] == 1


def test_collect_one_with_wrong_answers_is_up_and_takes_no_requests() -> None:
    found = found_for(wrong_answers="2.64 nats from the reference")
    assert found["vllmd_engine_up", "chat"] == 1
    assert found["vllmd_engine_takes_requests", "chat"] == 0


def test_collect_says_what_is_served_by_which_version_and_in_which_fleet() -> None:
    engines = EnginesCollector(
        lambda: [status(fingerprint="f00d")], FakeClock(), lambda _: "0.32.0", lambda: "prod"
    )
    labels = {"command_hash": "f00d", "fleet": "prod", "model": "m", "version": "0.32.0"}
    found = info_of(engines)
    assert found == labels | {"vllmd_engine": "chat", "group": "", "role": ""}


def test_collect_says_of_which_group_an_engine_is_and_which_part_of_it() -> None:
    group = GroupStatus("member", 1, "data", {}, "chat@gpu01")
    found = info_of(EnginesCollector(lambda: [status(group=group)], FakeClock()))
    assert (found["group"], found["role"]) == ("chat@gpu01", "member")


def test_collect_state_is_one_of_all() -> None:
    found = found_for(state=State.BACKOFF)
    states = {key[1]: value for key, value in found.items() if key[0] == "vllmd_engine_state"}
    assert states == {str(state): float(state is State.BACKOFF) for state in State}
    assert found["vllmd_engine_up", "chat"] == 0


def test_collect_an_engine_that_was_not_looked_for_is_said_to_be_in_no_state() -> None:
    found = found_for(state=State.READY, looked_for=False)
    assert found["vllmd_engine_up", "chat"] == 0
    names = {key[0] for key in found}
    assert not names & {"vllmd_engine_state", "vllmd_engine_state_change_timestamp_seconds"}


def test_collect_what_is_not_known_is_absent() -> None:
    names = {key[0] for key in found_for()}
    assert not names & {"vllmd_engine_uptime_seconds", "vllmd_engine_start_duration_seconds"}


def test_collect_weights_that_are_kept_and_none_without_preload() -> None:
    for state, value in ((WeightsState.READY, 1), (WeightsState.INCOMPLETE, 0)):
        found = found_for(weights=WeightsStatus(state, 1.0, "/log", 2))
        assert found["vllmd_engine_weights_ready", "chat"] == value
        for each in WeightsState:
            assert found["vllmd_engine_weights_state", each, "chat"] == (each is state)
    assert not any(key[0] == "vllmd_engine_weights_ready" for key in found_for())


def test_collect_failures_holds_and_transitions() -> None:
    found = found_for(
        state=State.HELD,
        causes={"lora_rank": 2},
        transitions={(Trigger.EXITED, State.BACKOFF): 3},
        hold=Hold("lora_rank", "Raise it.", 1_000_940.0, None, "hash"),
        last_exit=explain(Exit("SIGKILL", requested=False, at=5.0, run_id="r"), ()),
    )
    killed = BY_NAME["killed"]
    words = ("killed", killed.explanation, killed.advice)
    info = [name for name in found if name[0] == "vllmd_engine_failure_info"]
    assert len(info) == 1
    assert set(words) < set(info[0])
    assert found["vllmd_engine_failure_timestamp_seconds", *words[:2], "chat"] == 5
    assert found["vllmd_engine_failures_total", "lora_rank", "chat"] == 2
    assert found["vllmd_engine_transitions_total", "exited", "backoff", "chat"] == 3
    assert found["vllmd_engine_hold_seconds", "lora_rank", "chat"] == 60


def test_collect_memory_that_a_start_waits_for_has_its_holder() -> None:
    holders = ("python train.py (pid 7): 60.0 GiB", "engine code: 20.0 GiB")
    found = found_for(state=State.STOPPED, awaited_memory=Shortage("0", 4096, holders, sure=True))
    name = "vllmd_engine_awaited_memory_bytes"
    assert {key: value for key, value in found.items() if key[0] == name} == {
        (name, "0", "python train.py (pid 7)", "chat"): 4096
    }
    unseen = found_for(state=State.STOPPED, awaited_memory=Shortage("0", 4096, (), sure=True))
    assert unseen[name, "0", "", "chat"] == 4096


def test_collect_engine_that_waits_for_its_turn_names_the_one_ahead() -> None:
    name = "vllmd_engine_awaited_load_info"
    found = found_for(state=State.STOPPED, awaited_load="embed")
    assert found[name, "embed", "chat"] == 1
    assert not [key for key in found_for(state=State.STOPPED) if key[0] == name]


def test_collect_a_load_has_phases_and_an_estimate() -> None:
    found = found_for(
        state=State.LOADING, phases={"spawn": 4.0, "weights": 60.0}, start_left_s=12.5
    )
    assert found["vllmd_engine_start_phase_seconds", "weights", "chat"] == 60
    assert found["vllmd_engine_start_remaining_seconds", "chat"] == 12.5
    assert found["vllmd_engine_busy", "chat"] == 0


def test_usage_running_engine_has_a_cost_and_a_stopped_one_none() -> None:
    engines = [status("a", run_id="r", shim_pid=os.getpid()), status("b")]
    found = values(UsageCollector(lambda: engines, FakeClock()).collect())
    assert {key[1] for key in found} == {"a"}
    assert len(found) == 3


def test_usage_of_an_engine_that_is_configured_no_more_is_forgotten() -> None:
    engines = [status(name, run_id="r", shim_pid=os.getpid()) for name in ("a", "b")]
    collector = UsageCollector(lambda: engines, FakeClock())
    values(collector.collect())
    assert set(collector._trees) == {"a", "b"}
    del engines[0]
    values(collector.collect())
    assert set(collector._trees) == {"b"}


def test_collect_doubts_of_a_start_until_it_is_over() -> None:
    doubts = Doubts()
    doubts.tell("chat", "doctor", [Doubt("model-missing", "error", "no folder", "correct it")])
    for state, shown in ((State.LOADING, 1), (State.READY, 0)):
        found = values(DoubtsCollector(lambda s=state: [status(state=s)], doubts).collect())  # type: ignore[misc]
        assert len(found) == shown


def test_collect_a_group_is_counted_by_its_head_only() -> None:
    hosts = {"gpu01": "ready", "gpu02": "ready", "gpu03": "unreachable"}
    found = found_for(group=GroupStatus("head", 0, "data", hosts, "chat@gpu01"))
    assert found["vllmd_group_members", "ready", "chat"] == 2
    assert found["vllmd_group_members", "unreachable", "chat"] == 1
    found = found_for(group=GroupStatus("member", 1, "data", hosts, "chat@gpu01"))
    assert not any(key[0] == "vllmd_group_members" for key in found)


@pytest.mark.parametrize("role", ["head", "member"])
def test_collect_the_host_that_a_group_lacks_is_named(role: str) -> None:
    group = GroupStatus(role, 0, "data", {}, "chat@gpu01")
    assert not any(key[0] == "vllmd_group_awaited_host_info" for key in found_for(group=group))
    lacks = AwaitedHost("gpu02:9840", "unreachable")
    waits = status(group=attrs.evolve(group, awaited=lacks))
    collector = EnginesCollector(lambda: [waits], FakeClock())
    assert info_of(collector, "vllmd_group_awaited_host_info") == {
        "vllmd_engine": "chat",
        "group": "chat@gpu01",
        "role": role,
        "host": "gpu02:9840",
        "state": "unreachable",
    }
