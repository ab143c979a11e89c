from typing import Any

import attrs
import pytest

from tests.helpers.make import status
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
    document = {"daemon": DAEMON, "engines": list(engines), **more}
    return [terminal._CODE.sub("", line) for line in status_view.report(document, NOW, columns)]


def test_report_begins_with_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch)
    assert lines[0] == "vllmd 1 on gpu-1 (pid 7) up 1m 30s, configuration /v.toml"
    assert lines[1] == "no engine is configured; 'vllmd init' writes a first one"


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


def test_engine_that_serves_again_has_one_line_of_its_failure_for_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = shown(monkeypatch, engine(last_exit=FAILED))
    assert "unexpectedly ('vllmd why chat')" in lines[-1]
    assert not any("lora_rank:" in line for line in lines)
    old = Exit("1", requested=False, at=NOW - 25 * HOUR_S, run_id="a")
    assert len(shown(monkeypatch, engine(last_exit=old))) == len(lines) - 1


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = {"severity": "error", "found": "There is no folder.", "fix": "w " * 90, "evidence": []}
    failed = engine({"doubts": [doubt]}, state=State.BACKOFF, last_exit=FAILED, problem="x " * 99)
    condition = {"alert": "VllmdEngineHeld", "severity": "critical", "text": "t " * 99}
    lines = shown(monkeypatch, failed, columns=columns, gpus=[GPU], conditions=[condition])
    assert max(map(len, lines)) <= columns


def test_pipe_has_whole_lines_that_name_their_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = "the port is taken, " * 20
    lines = shown(monkeypatch, engine(problem=problem), columns=None)
    assert f"chat: {problem}" in lines


def test_alerts_that_apply_are_named_with_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    condition = {"alert": "VllmdDiskFull", "severity": "warning", "text": "2 % are left"}
    lines = shown(monkeypatch, engine(), conditions=[condition])
    assert "  VllmdDiskFull: 2 % are left" in lines
    assert not any("Alerts" in line for line in shown(monkeypatch, engine()))


def test_gpus_are_bars_by_owner_and_one_that_is_lost_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = {**GPU, "gpu": "1", "lost": "fell_off_the_bus"}
    title, bar, owners, last = shown(monkeypatch, engine(), gpus=[GPU, lost])[-4:]
    assert title == "GPUs"
    assert bar.endswith("72.0 of 80.0 GiB  busy 97%  512/700 W  64 °C")
    assert "█" in bar
    assert owners.split() == ["chat", "72.0", "GiB"]
    assert last == "  1  NVIDIA H200 cannot be read: fell off the bus"
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
