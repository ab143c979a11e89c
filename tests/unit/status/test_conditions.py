import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.helpers.group_scenes import lacks
from tests.helpers.make import gpu_figures
from tests.helpers.status_scenes import NOW, SCENES, Scene, about, device, failure, ready
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.state_machine import State
from vllmd.engine.weights.state import WeightsState, WeightsStatus
from vllmd.gpu.memory_shares import Owner
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.snapshot import SeenXid
from vllmd.http import runbook_pages
from vllmd.monitoring.alerts import every_alert
from vllmd.probe.status import AnswersVerdict, ProbeStatus
from vllmd.status.conditions import CONDITIONS, NOT_TOLD
from vllmd.status.engine_conditions import BETWEEN_RUNS_S
from vllmd.util.units import GIB, MINUTE_S

RULES = Path(__file__).parents[3] / "dashboards" / "rules"


def gpu(**more: Any) -> Scene:
    return Scene([ready("chat")], gpu_figures(device(0, "chat", **more)))


def values(**more: float) -> Scene:
    found = device(0, "chat")
    return Scene([ready("chat")], gpu_figures(attrs.evolve(found, values={**found.values, **more})))


def values_and_xids(**more: float) -> Scene:
    """A driver that says what is left to be done, after an Xid an hour ago."""
    found = device(0, "chat", xids=(SeenXid.of(79, 1, NOW - 3600),))
    return Scene([ready("chat")], gpu_figures(attrs.evolve(found, values={**found.values, **more})))


def owned(owner: Owner, size: int, *engines: str) -> Scene:
    found = device(0, *engines)
    owners = {**found.owners, (owner, None): size}
    return Scene([ready("chat")], gpu_figures(attrs.evolve(found, owners=owners)))


def lent(*, wanted: bool) -> Scene:
    """A GPU on which there is no engine now, and too little for the one that belongs there."""
    found = device(0, margins={"chat": -3.0 * GIB})
    owners: dict[Any, int] = {(Owner.FOREIGN, None): 2 * GIB}
    one = ready("chat", state=State.STOPPED, wanted=wanted, since=NOW)
    return Scene([one], gpu_figures(attrs.evolve(found, owners=owners)))


def reader(reason: str, **more: Any) -> Scene:
    return Scene([], gpu_figures(problem=ReaderProblem(reason, "it is so"), **more))


def unified() -> Scene:
    found = device(0, "chat")
    shared = attrs.evolve(found.device, unified=True)
    low = {**found.values, "memory_free_bytes": 2.0 * GIB}
    return Scene([], gpu_figures(attrs.evolve(found, device=shared, values=low)))


def load_stalled() -> Scene:
    why = Diagnosis("load_stalled", Kind.TRANSIENT, "It stopped.", "Look.")
    end = failure(60, diagnosis=why)
    return Scene([ready("chat", state=State.LOADING, last_exit=end)])


def full_cache() -> Scene:
    scene = Scene([ready("chat", requests_waiting=3)], busy={"chat": 1.0})
    return scene


def weights(kept: WeightsState, **more: Any) -> Scene:
    return Scene([ready("chat", weights=WeightsStatus(kept, NOW, "/log", 2), **more)])


WRONG = ProbeStatus(AnswersVerdict.WRONG, "alert", found="2.00 nats from the reference").to_json()
UNCHECKED = ProbeStatus(AnswersVerdict.NOT_APPLICABLE, "alert").to_json()


FOUND: dict[str, tuple[Scene, str]] = {
    "VllmdGroupIncomplete": (
        lacks("head", "held"),
        "big does not serve, as its group lacks a host: waits for gpu02",
    ),
    "VllmdEngineHeld": (SCENES["held"](), "chat is held: The KV cache has no room"),
    "VllmdEngineStalled": (SCENES["hang"](), "chat has work and makes no progress"),
    "VllmdEngineAwaitsMemory": (SCENES["eight-gpus"](), "embed waits for 31.0 GiB more on GPU 6"),
    "VllmdEngineLoadStalled": (load_stalled(), "chat stopped in the middle of its last load"),
    "VllmdEngineDown": (SCENES["backoff"](), "chat is down: failed 12s ago: The KV cache"),
    "VllmdWrongAnswers": (
        Scene([ready("chat")], probes={"chat": WRONG}),
        "chat gives wrong answers: see 'vllmd probe'",
    ),
    "VllmdAnswersUnchecked": (
        Scene([ready("chat", since=NOW - 3601)], probes={"chat": UNCHECKED}),
        "the answers of chat are not looked at: see 'vllmd probe'",
    ),
    "VllmdWeightsLost": (
        weights(WeightsState.INCOMPLETE),
        "chat serves, and its weights are kept no more",
    ),
    "VllmdWeightsUnresponsive": (
        weights(WeightsState.UNRESPONSIVE, state=State.STOPPED, wanted=False),
        "what keeps the weights of chat does not answer",
    ),
    "VllmdGpuLost": (
        gpu(lost="missing", lost_since=NOW - 200),
        "GPU 0 does not answer: the driver does not list it any more, for 3m 20s",
    ),
    "VllmdGpuXidFatal": (
        gpu(xids=(SeenXid.of(79, 1, NOW - 60),)),
        "GPU 0: Xid 79 1m ago asks for a reboot",
    ),
    "VllmdGpuRecoveryAction": (values(recovery_action=2.0), "GPU 0: the driver asks for recovery"),
    "VllmdGpuXidNotCleared": (
        gpu(xids=(SeenXid.of(79, 1, NOW - 3600),)),
        "GPU 0: Xid 79 1h ago asks for a reboot",
    ),
    "VllmdGpuEccNotCleared": (
        values(**{"ecc_errors_total:uncorrected": 3.0}),
        "GPU 0: 3 uncorrected ECC errors",
    ),
    "VllmdGpuRowRemapFailed": (values(row_remap_failed=1.0), "GPU 0: bad memory"),
    "VllmdGpuRowRemapPending": (values(row_remap_pending=1.0), "GPU 0: rows of its memory"),
    "VllmdHostMemoryLow": (unified(), "GPU 0 shares the host's memory, of which 2.0 GiB are left"),
    "VllmdDriverMismatch": (
        Scene([], gpu_figures(mismatch="the driver was upgraded.")),
        "the driver was upgraded",
    ),
    "VllmdGpuReaderDown": (reader("hung"), "GPUs are not read: it is so"),
    "VllmdVramOrphan": (owned(Owner.ORPHAN, GIB), "GPU 0: a process of an engine that is gone"),
    "VllmdVramForeign": (
        owned(Owner.FOREIGN, 2 * GIB, "chat"),
        "GPU 0: a process outside vllmd holds 2.0 GiB",
    ),
    "VllmdVramRestartWontFit": (
        gpu(margins={"chat": -3.0 * GIB}),
        "chat would not start again on GPU 0: 3.0 GiB too few",
    ),
    "VllmdAdapterNotLoaded": (
        SCENES["many-adapters"](),
        "code serves without 4 of 20 adapters: customer-00, customer-01, customer-02 and 1 more",
    ),
    "VllmdConfigRefused": (
        Scene(daemon=about(problem="line 3")),
        "the configuration cannot be used: 'vllmd check' says why",
    ),
    "VllmdHistoryDropped": (
        Scene(daemon=about(history_problem="/var/lib/vllmd/history.db: disk I/O error")),
        "events are not written down",
    ),
    "VllmdDiskStalled": (
        Scene(daemon=about(disk_problem="log_dir (/var/log/vllmd) does not answer since 02:31:09")),
        "a file system that vllmd writes to does not answer: 'vllmd status' says which",
    ),
    "VllmdPartFailed": (
        Scene(
            daemon=about(
                failing=[
                    {
                        "part": "series",
                        "failures": 3,
                        "problem": "x",
                        "failed_at": NOW,
                        "retry_at": None,
                    }
                ]
            )
        ),
        "the part series of vllmd keeps failing",
    ),
}
ON_DOCUMENTS: dict[str, tuple[Scene, list[Any], Any, str]] = {
    "VllmdKvCacheSaturated": (
        full_cache(),
        ["engines", 0, "kv_cache_usage"],
        0.97,
        "chat: the KV cache is 97% full, and requests wait for it",
    ),
    "VllmdPageUnread": (
        SCENES["no-gpu"](),
        ["engines", 0, "page_up"],
        False,
        "chat serves, but its metrics cannot be read",
    ),
    "VllmdDiskFull": (
        Scene(),
        ["filesystems"],
        [{"role": "logs", "size_bytes": 100 * GIB, "avail_bytes": GIB, "low": True}],
        "the disk with vllmd's logs is nearly full: 1.0 GiB of 100.0 GiB are free",
    ),
    "VllmdLate": (
        Scene(),
        ["daemon", "late_s"],
        2.5,
        "vllmd comes 2.5 s late to what it has to do",
    ),
    "VllmdLogsDropped": (
        SCENES["no-gpu"](),
        ["engines", 0, "log_problem"],
        "No space left on device",
        "the disk does not take the log of chat",
    ),
}


def severity_in_the_rules(name: str) -> str:
    """Return what the file says that Prometheus is given."""
    files = [path.read_text() for path in RULES.glob("*.yml")]
    (found,) = re.findall(rf"- alert: {name}\n.*?severity: (\w+)", "\n".join(files), re.DOTALL)
    return str(found)


def test_engine_that_is_stopped_for_as_long_as_the_alert_waits_is_down() -> None:
    (down,) = [alert for alert in every_alert() if alert.name == "VllmdEngineDown"]
    assert down.wait == f"{BETWEEN_RUNS_S / MINUTE_S:.0f}m"
    scene = Scene([ready("chat", state=State.STOPPED, since=NOW - BETWEEN_RUNS_S)])
    assert [c["text"] for c in scene.service().document()["conditions"]] == ["chat is down"]


@pytest.mark.parametrize("state", State)
def test_engine_is_down_in_the_states_of_which_the_alert_says_so(state: State) -> None:
    """The expression is read: all states are down but those that it leaves out."""
    (down,) = [alert for alert in every_alert() if alert.name == "VllmdEngineDown"]
    (left_out,) = re.findall(r'state=~"([^"]+)"', down.expr)
    scene = Scene([ready("chat", state=state, since=NOW - 3600)])
    found = [c["alert"] for c in scene.service().document()["conditions"]]
    assert ("VllmdEngineDown" in found) == (state not in left_out.split("|"))


def test_each_alert_has_a_condition_or_a_reason_to_have_none() -> None:
    names = {alert.name for alert in every_alert()}
    assert set(CONDITIONS) | set(NOT_TOLD) == names
    assert not set(CONDITIONS) & set(NOT_TOLD)
    assert set(FOUND) | set(ON_DOCUMENTS) == set(CONDITIONS), "each has a case here"


@pytest.mark.parametrize("name", FOUND)
def test_condition_is_found_and_said(name: str) -> None:
    scene, text = FOUND[name]
    found = [c for c in scene.service().document()["conditions"] if c["alert"] == name]
    assert [c["text"] for c in found if c["text"].startswith(text)] == [found[0]["text"]]
    assert found[0]["severity"] == severity_in_the_rules(name)
    of_engine = f"?engine={found[0]['engine']}" if found[0]["engine"] else ""
    assert found[0]["runbook"] == f"/runbooks/{name}{of_engine}"
    assert runbook_pages.read(name)


@pytest.mark.parametrize("name", ON_DOCUMENTS)
def test_condition_of_one_field_is_found_and_said(name: str) -> None:
    scene, path, value, text = ON_DOCUMENTS[name]
    document = scene.service().document()
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    assert not list(CONDITIONS[name](document))
    place[path[-1]] = value
    assert [found.text for found in CONDITIONS[name](document)] == [text]


@pytest.mark.parametrize(
    "scene",
    [
        SCENES["all-well"](),
        SCENES["no-gpu"](),
        SCENES["loading"](),
        reader("starting"),
        Scene([ready("chat", state=State.STOPPED, wanted=False)]),
        Scene([ready("chat", state=State.DRAINING)]),
        Scene([ready("chat", state=State.STOPPING)]),
        Scene([ready("chat", state=State.STOPPED, since=NOW - 3)]),
        Scene([ready("chat", state=State.STOPPED, since=NOW - 600, awaited_load="embed")]),
        owned(Owner.FOREIGN, 2 * GIB),
        lent(wanted=False),
        gpu(xids=(SeenXid.of(13, 1, NOW - 1),)),
        values_and_xids(recovery_action=0.0),
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(scene: Scene) -> None:
    assert scene.service().document()["conditions"] == []


def test_gpus_that_were_let_go_of_are_not_lost() -> None:
    problem = ReaderProblem("released", "let go of by 'vllmd gpu release'")
    scene = Scene([], gpu_figures(device(0, lost="not_read"), problem=problem))
    assert scene.service().document()["conditions"] == []


def test_room_for_an_engine_that_is_wanted_and_ended_is_held_by_another() -> None:
    found = lent(wanted=True).service().document()["conditions"]
    assert [c["alert"] for c in found] == ["VllmdVramForeign"]


def test_where_nvml_does_not_answer_no_gpu_is_lost_by_itself() -> None:
    problem = ReaderProblem("hung", "NVML does not answer")
    gone = (device(0, lost="missing"), device(1, lost="not_read"))
    found = Scene([], gpu_figures(*gone, problem=problem)).service().document()["conditions"]
    assert [c["alert"] for c in found] == ["VllmdGpuReaderDown"]


def test_gpus_that_a_late_reader_does_not_read_are_told_once() -> None:
    scene = Scene([], gpu_figures(*(device(n, lost="not_read") for n in range(8))))
    found = scene.service().document()["conditions"]
    assert [(c["alert"], c["text"]) for c in found] == [
        ("VllmdGpuReaderDown", "GPUs are not read: the newest reading is old")
    ]


def test_part_that_failed_once_does_not_keep_failing() -> None:
    once = {"part": "webhook", "failures": 2, "problem": "x", "failed_at": NOW, "retry_at": NOW}
    scene = Scene(daemon=about(failing=[once]))
    assert scene.service().document()["conditions"] == []


def test_engine_that_waits_for_memory_is_not_told_twice() -> None:
    found = SCENES["eight-gpus"]().service().document()["conditions"]
    assert [c["alert"] for c in found if c["engine"] == "embed"] == ["VllmdEngineAwaitsMemory"]


def test_worst_comes_first() -> None:
    found = SCENES["eight-gpus"]().service().document()["conditions"]
    order = [each["severity"] for each in found]
    assert order == sorted(order, key=["critical", "warning", "info"].index)
    assert len(set(order)) > 1
