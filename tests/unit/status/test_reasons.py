import pytest

from tests.helpers.status_scenes import NOW, failure, ready
from vllmd.engine.doubts import Doubt
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.group_interface import GroupStatus
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.engine.weights.state import WeightsState, WeightsStatus
from vllmd.status.reasons import reason, some_of

NO_ROOM = "The KV cache has no room for one request of max_model_len tokens"


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (ready("chat"), None),
        (ready("chat", looked_for=False), "it is not known yet how it stands"),
        (
            ready("chat", is_over=True, no_step_s=75.0),
            "its run has ended: what is left of it is ended now, and it is looked into why",
        ),
        (
            ready("chat", group=GroupStatus("head", 0, "data", {}, red="gpu02 is away")),
            "it is to take no requests: gpu02 is away",
        ),
        (
            ready("chat", group=GroupStatus("head", 0, "data", {}, doubt="rank 1 does nothing")),
            "rank 1 does nothing",
        ),
        (
            ready(
                "chat", group=GroupStatus("head", 0, "data", {}, silent={"gpu02": "answered 403"})
            ),
            "hosts of its group are not heard of: gpu02: answered 403",
        ),
        (ready("chat", group=GroupStatus("head", 0, "data", {"gpu02": "ready"})), None),
        (ready("chat", state=State.STALLED), "it has work and makes no progress"),
        (ready("chat", no_step_s=75.0), "requests run, and no step was made for 1m 15s"),
        (ready("chat", rank_doubt="rank 1 does nothing"), "rank 1 does nothing"),
        (
            ready("chat", state=State.HELD, hold=Hold("c", f"{NO_ROOM}.", NOW, None, "h")),
            NO_ROOM,
        ),
        (
            ready("chat", state=State.BACKOFF, last_exit=failure(12)),
            f"failed 12s ago: {NO_ROOM}",
        ),
        (
            ready("chat", state=State.BACKOFF, last_exit=failure(12, diagnosis=None)),
            "failed 12s ago: exited with code 1 unexpectedly, while loading (kv_cache); left "
            "behind and killed: VLLM::EngineCore (pid 4712)",
        ),
        (
            ready("chat", awaited_memory=Shortage("1", 2**31, ("a", "b"), True)),
            "waits for 2.0 GiB more on GPU 1, held by a, b",
        ),
        (
            ready(
                "chat",
                state=State.STOPPED,
                weights=WeightsStatus(WeightsState.LOADING, NOW, "/log", 2),
            ),
            "its weights are loaded first",
        ),
        (
            ready(
                "chat",
                state=State.STOPPED,
                weights=WeightsStatus(WeightsState.UNRESPONSIVE, NOW, "/log", 2),
            ),
            "what keeps its weights does not answer, and may hold GPU memory",
        ),
        (
            ready("chat", state=State.STOPPED, awaited_load="embed"),
            "waits until embed has loaded, with which it shares a GPU",
        ),
        (
            ready("chat", state=State.STOPPED, wanted=False),
            "stopped as requested: 'vllmd start chat' starts it",
        ),
        (ready("chat", state=State.LOADING), None),
    ],
)
def test_reason_of_each_state(engine: EngineStatus, expected: str | None) -> None:
    assert reason(engine, None, (), NOW) == expected


def test_reason_of_one_that_loads_is_what_will_fail() -> None:
    doubts = [
        Doubt("a", "warning", "it is slow.", "wait"),
        Doubt("b", "error", "there is no folder.", "make it"),
    ]
    loads = ready("chat", state=State.LOADING)
    assert reason(loads, None, doubts, NOW) == "will probably fail: there is no folder"
    assert reason(loads, None, doubts[:1], NOW) is None


def test_reason_of_one_that_serves_without_adapters_names_a_few() -> None:
    counts = {"wanted": 5, "loaded": 1, "missing": ["a", "b", "c", "d"]}
    expected = "adapters are not loaded: a, b, c and 1 more"
    assert reason(ready("chat"), counts, (), NOW) == expected
    assert some_of(["a"]) == "a"
