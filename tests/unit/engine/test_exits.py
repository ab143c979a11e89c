from typing import Any

import pytest

from vllmd.engine import exits
from vllmd.engine.causes.base import Facts
from vllmd.engine.exits import Exit
from vllmd.shim.protocol import ExitRecord


def record(**more: Any) -> ExitRecord:
    values: dict[str, Any] = {
        "protocol": 1,
        "engine": "chat",
        "run_id": "r",
        "engine_pid": 1,
        "exit_code": 0,
        "signal": None,
        "error": None,
        "requested": False,
        "started_at": 1.0,
        "ended_at": 2.0,
        "killed": [],
        "log_lost_bytes": 0,
        "tail": [],
    }
    result: ExitRecord = {**values, **more}  # type: ignore[typeddict-item]
    return result


@pytest.mark.parametrize(
    ("given", "label", "words"),
    [
        (record(), "0", "exited with code 0 unexpectedly"),
        (record(requested=True), "0", "exited with code 0 as requested"),
        (record(exit_code=None, signal=9), "SIGKILL", "ended by SIGKILL unexpectedly"),
        (record(exit_code=None, signal=77), "SIG77", "ended by SIG77 unexpectedly"),
        (
            record(exit_code=None, error="No such file: vllm"),
            "spawn_failed",
            "could not be started: No such file: vllm",
        ),
        (
            record(killed=["VLLM::EngineCore (pid 7)"]),
            "0",
            "exited with code 0 unexpectedly; left behind and killed: VLLM::EngineCore (pid 7)",
        ),
    ],
)
def test_from_record_has_a_label_and_a_sentence(given: ExitRecord, label: str, words: str) -> None:
    ended = exits.from_record(given)
    assert ended.label == label
    assert ended.describe() == words


def test_describe_lost_shim_says_what_is_not_known() -> None:
    text = Exit(exits.SHIM_LOST, requested=False, at=1, run_id="r").describe()
    assert text == ("ended unseen: its shim was killed unexpectedly")


def test_explain_uses_what_was_printed_and_only_for_ends_that_nobody_asked_for() -> None:
    printed = ["OSError: [Errno 28] No space left on device"]
    found = exits.explain(exits.from_record(record(exit_code=1)), printed).diagnosis
    assert found is not None
    assert (found.cause, found.evidence) == ("disk_full", tuple(printed))
    ended = exits.explain(exits.from_record(record(exit_code=1)), printed)
    assert ended.first_error == printed[0]
    assert "first_error" not in (exits.to_json(ended) or {})
    assert exits.explain(exits.from_record(record(requested=True)), printed).diagnosis is None


def test_explain_engine_that_could_not_be_started_has_its_error() -> None:
    ended = exits.explain(exits.from_record(record(exit_code=None, error="No such file")), ())
    assert ended.diagnosis is not None
    assert ended.diagnosis.cause == "not_started"


def test_explain_reads_what_the_shim_and_the_log_both_have_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Said twice, the end of an output reads like another run, whose beginning is cut off."""
    read: list[Facts] = []

    def diagnose(facts: Facts) -> None:
        read.append(facts)

    monkeypatch.setattr(exits, "diagnose", diagnose)
    tail = ["the last but one", "the last", "what the disk did not take"]
    exits.explain(exits.from_record(record(exit_code=1, tail=tail)), ["first", *tail[:2]])
    assert read[0].lines == ("first", *tail)
