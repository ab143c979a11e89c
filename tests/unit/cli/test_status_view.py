from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import pytest

from tests.helpers.make import gpu_figures, status
from tests.helpers.status_scenes import NOW as SCENE_NOW
from tests.helpers.status_scenes import Scene, backoff, device, eight_gpus, ready
from vllmd.cli import status_view, terminal
from vllmd.engine.exits import Exit, explain
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State
from vllmd.util.units import GIB, HOUR_S

NOW = 1_000_600.0
DAEMON: dict[str, Any] = {
    "version": "1",
    "pid": 7,
    "host": "gpu-1",
    "started_at": NOW - 90,
    "config": "/v.toml",
    "problem": None,
}
GPU: dict[str, Any] = {
    "gpu": "0",
    "name": "NVIDIA H200",
    "lost": None,
    "memory_total_bytes": 80 * GIB,
    "memory_used_bytes": 72 * GIB,
    "busy_ratio": 0.97,
    "power_watts": 512.0,
    "power_limit_watts": 700.0,
    "temperature_celsius": 64.0,
    "owners": [
        {"owner": "engine", "engine": "chat", "bytes": 72 * GIB},
        {"owner": "free", "engine": None, "bytes": 8 * GIB},
    ],
}
FAILED = explain(
    Exit("1", requested=False, at=NOW - 130, run_id="a"),
    ["ValueError: LoRA rank 32 is greater than max_lora_rank 16."],
)


def engine(more: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {**status("chat", **fields).to_json(), **(more or {})}


def shown(
    monkeypatch: pytest.MonkeyPatch, *engines: dict[str, Any], columns: int | None = 80, **more: Any
) -> list[str]:
    monkeypatch.setattr(terminal, "width", lambda: columns)
    document = {"schema_version": 1, "daemon": DAEMON, "engines": list(engines), **more}
    return plain(status_view.report(document, NOW, columns))


def plain(lines: Iterable[str]) -> list[str]:
    return [terminal._CODE.sub("", line) for line in lines]


def screen(
    monkeypatch: pytest.MonkeyPatch, document: Mapping[str, Any], rows: int, columns: int = 80
) -> list[str]:
    monkeypatch.setattr(terminal, "width", lambda: columns)
    return plain(status_view.screen(document, SCENE_NOW, columns, rows))


def many_failing() -> dict[str, Any]:
    """Return the document of twenty engines on eight GPUs; six of them fail."""
    names = [f"engine-{n:02}" for n in range(20)]
    engines = [ready(name) for name in names[:14]]
    failing = backoff().engines[0]
    engines += [attrs.evolve(failing, name=name) for name in names[14:]]
    figures = gpu_figures(*(device(n, *names[2 * n : 2 * n + 2]) for n in range(8)))
    return Scene(engines, figures, busy=dict.fromkeys(names, 100.0)).service().document()


def test_report_begins_with_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch)
    assert lines[0] == "vllmd 1 on gpu-1 (pid 7) up 1m 30s, configuration /v.toml"
    assert lines[1] == "no engine is configured; 'vllmd init' writes a first one"


def test_daemon_that_is_older_says_that_alerts_and_gpus_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 80)
    older = {"daemon": DAEMON, "engines": [engine()]}
    said = " ".join(plain(status_view.report(older, NOW, 80)))
    assert "this daemon is older than this command: restart it to see alerts and GPUs" in said
    assert "is older" in " ".join(plain(status_view.screen(older, NOW, 80, 24)))
    assert "is older" not in " ".join(shown(monkeypatch, engine()))


def test_load_says_how_far_it_has_come_below_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    load = engine({"progress": 0.62}, state=State.LOADING, phase="weights", start_left_s=41.0)
    assert "  weights, 62%, 41s left" in shown(monkeypatch, load)
    assert any(
        "loading (weights, 41s left)" in line for line in shown(monkeypatch, load, columns=None)
    )


def test_hold_is_told_once_with_its_next_try_and_what_it_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert FAILED.diagnosis is not None
    reason = f"{FAILED.diagnosis.explanation} {FAILED.diagnosis.advice}"
    hold = Hold("lora_rank", reason, NOW - 65, NOW + 1600, "h")
    held = engine({"reason": reason}, state=State.HELD, hold=hold, last_exit=FAILED)
    text = " ".join(" ".join(shown(monkeypatch, held)).split())
    assert text.count(FAILED.diagnosis.explanation) == 1
    assert "retry in 26m 40s; 'vllmd start chat' starts it now" in text
    assert "printed: ValueError: LoRA rank 32" in text


def test_cause_of_repeated_failures_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FAILED.diagnosis is not None
    explanation = FAILED.diagnosis.explanation
    first = attrs.evolve(FAILED, run_id="b", at=NOW - 900)
    reason = f"failed 2m ago: {explanation.rstrip('.')}"
    failing = engine({"reason": reason}, state=State.BACKOFF, last_exit=FAILED, first_failure=first)
    down = f"chat is down: {reason}"
    condition = {"alert": "VllmdEngineDown", "severity": "critical", "text": down}
    lines = shown(monkeypatch, failing, conditions=[condition])
    assert " ".join(" ".join(lines).split()).count(explanation.rstrip(".")) == 1
    assert "  VllmdEngineDown: chat is down" in lines
    assert "  the failures began 15m ago, with the same cause" in lines


def test_reason_is_told_where_nothing_else_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stalled = engine({"reason": "no token for 2m with 3 requests"}, state=State.STALLED)
    assert "  no token for 2m with 3 requests." in shown(monkeypatch, stalled)


def test_reason_is_told_although_a_note_has_one_of_its_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = {"reason": "adapters are not loaded: config", "command_changed": True}
    lines = shown(monkeypatch, engine(more))
    assert "  adapters are not loaded: config." in lines
    assert any("runs with an older configuration" in line for line in lines)


@pytest.mark.parametrize(
    "fields",
    [
        {"problem": "waits for its turn", "reason": "waits for its turn"},
        {"problem": "waits for its turn: since 22:15", "reason": "waits for its turn"},
        {
            "problem": "waits for GPU memory: 3.0 GiB too little",
            "awaited_memory": {"gpu": "0"},
            "reason": "waits for 3.0 GiB more on GPU 0",
        },
        {
            "doubts": [{"severity": "error", "found": "No folder.", "fix": "Do it."}],
            "reason": "will probably fail: No folder",
        },
    ],
)
def test_reason_that_a_note_tells_is_not_told_again(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(shown(monkeypatch, engine(fields, state=State.STOPPED))) == 5


def test_reason_of_a_failure_without_a_cause_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    last = Exit("1", requested=False, at=NOW - 130, run_id="a")
    reason = f"failed 2m ago: {last.describe()}"
    lines = shown(monkeypatch, engine({"reason": reason}, state=State.BACKOFF, last_exit=last))
    assert sum(last.describe() in line for line in lines) == 1


def test_engine_that_serves_again_has_one_line_of_its_failure_for_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = shown(monkeypatch, engine(last_exit=FAILED), columns=100)
    assert lines[-1].endswith("(lora_rank): exited with code 1 unexpectedly ('vllmd why chat')")
    old = Exit("1", requested=False, at=NOW - 25 * HOUR_S, run_id="a")
    assert len(shown(monkeypatch, engine(last_exit=old))) == len(lines) - 1


@pytest.mark.parametrize("columns", [60, 80, 140, None])
@pytest.mark.parametrize("state", [State.READY, State.LOADING, State.BACKOFF, State.HELD])
def test_cause_of_the_last_exit_is_named_with_its_age_at_any_width(
    columns: int | None, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(monkeypatch, engine(state=state, last_exit=FAILED), columns=columns)
    assert "last exit, 2m 10s ago (lora_rank): exited with code 1" in " ".join(
        " ".join(lines).split()
    )


def test_engine_that_was_stopped_after_a_failure_says_that_it_is_as_requested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = "stopped as requested: 'vllmd start chat' starts it"
    stopped = engine({"reason": reason}, state=State.STOPPED, wanted=False, last_exit=FAILED)
    lines = shown(monkeypatch, stopped, columns=120)
    assert [line for line in lines if line.startswith("  ")] == [
        f"  {reason}.",
        "  last exit, 2m 10s ago (lora_rank): exited with code 1 unexpectedly ('vllmd why chat')",
    ]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = {"severity": "error", "found": "There is no folder.", "fix": "w " * 90, "evidence": []}
    failed = engine({"doubts": [doubt]}, state=State.BACKOFF, last_exit=FAILED, problem="x " * 99)
    condition = {"alert": "VllmdEngineHeld", "severity": "critical", "text": "t " * 99}
    lines = shown(monkeypatch, failed, columns=columns, gpus=[GPU], conditions=[condition])
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_no_line_of_gpus_with_several_owners_is_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: columns)
    scene = eight_gpus()
    shared = device(0, "chat-of-the-sales", "code-of-the-lab", used=100 * GIB)
    both = attrs.evolve(scene, gpus=gpu_figures(shared, *scene.gpus.devices[1:]))
    lines = plain(status_view.report(both.service().document(), SCENE_NOW, columns))
    assert max(map(len, lines)) <= columns
    text = " ".join(lines)
    assert "chat-of-the-sales 50.0 GiB" in text
    assert "unattributed 512.0 MiB" in text


def test_pipe_has_whole_lines_that_name_their_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = "the port is taken, " * 20
    lines = shown(monkeypatch, engine(problem=problem), columns=None)
    assert f"chat: {problem}" in lines


def test_screen_with_room_has_all_with_the_alerts_below_the_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = backoff().service().document()
    monkeypatch.setattr(terminal, "width", lambda: 80)
    lines = screen(monkeypatch, document, rows=40)
    assert sorted(lines) == sorted(plain(status_view.report(document, SCENE_NOW, 80)))
    assert lines[2].startswith("Alerts that apply")
    assert lines[3] == "  VllmdEngineDown: chat is down"


def test_screen_with_little_room_has_a_line_for_each_alert_and_each_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = screen(monkeypatch, backoff().service().document(), rows=17, columns=60)
    assert len(lines) <= 17
    down = next(line for line in lines if "VllmdEngineDown" in line)
    assert down == "  VllmdEngineDown: chat is down: failed 12s ago: The KV cac…"
    row = next(n for n, line in enumerate(lines) if line.startswith("chat"))
    assert lines[row + 1].startswith("  failed 12s ago: The KV cache")
    assert lines[row + 2].startswith("embed")


def test_screen_without_room_for_notes_has_the_alerts_table_and_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = screen(monkeypatch, many_failing(), rows=49)
    assert len(lines) <= 49
    assert sum("VllmdEngineDown: " in line for line in lines) == 6
    assert [line.split()[0] for line in lines[-9:-1]] == list("01234567")


def test_screen_with_the_least_room_counts_the_alerts_and_begins_with_what_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = screen(monkeypatch, many_failing(), rows=23)
    assert lines[1].startswith("Alerts: VllmdEngineDown (6)")
    names = [f"engine-{n:02}" for n in (*range(14, 20), *range(14))]
    assert [line.split()[0] for line in lines[3:23]] == names


def test_screen_leaves_out_alerts_before_it_leaves_out_engines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conditions = [
        {"alert": "VllmdXid", "severity": "warning", "text": f"GPU {n}"} for n in range(30)
    ]
    document = {**backoff().service().document(), "conditions": conditions, "gpus": []}
    lines = screen(monkeypatch, document, rows=24)
    assert "  … 23 more: 'vllmd status' names them" in lines
    assert len(lines) <= 24


@pytest.mark.parametrize(("rows", "hint"), [(40, 0), (17, 1), (12, 1)])
def test_screen_that_is_short_of_room_says_so(
    rows: int, hint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = screen(monkeypatch, backoff().service().document(), rows=rows)
    assert sum("'vllmd status' shows all" in line for line in lines) == hint
    assert len(lines) <= rows


def test_screen_with_the_least_room_says_that_no_alert_applies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = {**many_failing(), "conditions": []}
    assert screen(monkeypatch, document, rows=23)[1] == "Alerts: none; 'vllmd status' shows all"
    del document["conditions"]
    assert screen(monkeypatch, document, rows=23)[1].startswith("Alerts: not known; ")


def test_alerts_that_apply_are_named_with_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    condition = {"alert": "VllmdDiskFull", "severity": "warning", "text": "2 % are left"}
    lines = shown(monkeypatch, engine(), conditions=[condition])
    assert "  VllmdDiskFull: 2 % are left" in lines
    assert not any("Alerts" in line for line in shown(monkeypatch, engine()))


def test_gpus_are_bars_by_owner_and_one_that_is_lost_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = {**GPU, "gpu": "1", "lost": "fell_off_the_bus", "lost_since": NOW - 200}
    title, bar, owners, last = shown(monkeypatch, engine(), at=NOW, gpus=[GPU, lost])[-4:]
    assert title == "GPUs"
    assert bar.endswith("72.0 of 80.0 GiB  busy 97%  512/700 W  64 °C")
    assert "█" in bar
    assert owners.split() == ["chat", "72.0", "GiB"]
    assert last == "  1  NVIDIA H200 cannot be read: fell off the bus, for 3m 20s"
    assert "chat 72.0 GiB" in shown(monkeypatch, engine(), gpus=[GPU], columns=140)[-1]


def test_gpus_that_cannot_be_read_or_do_not_exist_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = {"source": "nvml", "reason": "hung", "problem": "NVML hangs", "driver_mismatch": None}
    assert "  no readings: NVML hangs" in shown(monkeypatch, gpus=[GPU], gpu_reader=reader)
    assert not any("NVML" in line for line in shown(monkeypatch, gpus=[], gpu_reader=reader))
    changed = {**reader, "driver_mismatch": "580 and 590"}
    assert "  driver changed: 580 and 590" in shown(monkeypatch, gpus=[], gpu_reader=changed)
    demo = {**reader, "source": "demo", "problem": None}
    title = "GPUs (a demonstration: they do not exist)"
    assert title in shown(monkeypatch, gpus=[GPU], gpu_reader=demo)


def test_loading_says_how_much_of_the_model_is_here_while_it_is_downloaded() -> None:
    engine = {"phase": "weights", "progress": 0.2, "start_left_s": 40.0}
    assert status_view.loading(engine) == "weights, 20%, 40s left"
    here = {"done_bytes": 4 * GIB, "total_bytes": 16 * GIB}
    assert status_view.loading({**engine, "download": here}) == (
        "weights, 25% of 16.0 GiB downloaded, 40s left"
    )
    silent = {"phase": None, "download": here}
    assert status_view.loading(silent) == "25% of 16.0 GiB downloaded"
    assert status_view.loading({**silent, "download": None}) == ""
