from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.events import CLASSES, any_fields
from vllmd.eventlog.bus import Event
from vllmd.events.daemon import ConfigRefused, ConfigReloaded, DaemonRecovered, DaemonStarted
from vllmd.events.engine import EngineExited, EngineHeld, EngineStalled, EngineStateChanged
from vllmd.notify.notices import CONFIG, DAEMON, FAILED, HELD, STALLED, Notice, Notices

EXITED: dict[str, Any] = {
    "requested": False,
    "text": "exited with code 0 unexpectedly",
    "cause": "engine_core_died",
    "explanation": "It died.",
    "advice": "Do this.",
    "evidence": ["a line"],
}


class Told:
    def __init__(self) -> None:
        self.notices = Notices()
        self.at = 1000.0

    def take(self, name: str, engine: str | None = "chat", **fields: Any) -> Notice | None:
        self.at += 10
        return self.notices.take(Event(self.at, name, "info", engine, fields))

    def to(self, state: str) -> Notice | None:
        return self.take(EngineStateChanged.name, state=state)


def test_failure_is_told_once_and_its_end_once() -> None:
    told = Told()
    assert told.to("ready") is None
    first = told.take(EngineExited.name, **EXITED)
    assert first is not None
    assert (first.alert, first.firing, first.severity) == (FAILED, True, "warning")
    assert first.summary == "vllmd: chat failed: engine_core_died"
    assert "\nWhy: It died. (cause: engine_core_died)\nEvidence: a line\n" in first.text
    assert first.story is not None
    assert first.story.advice == "Do this."
    assert told.take(EngineExited.name, **EXITED) is None
    assert told.take(EngineExited.name, "embed", **EXITED) is not None
    assert told.notices.suppressed == 1
    end = told.to("ready")
    assert end is not None
    assert (end.firing, end.since, end.summary) == (False, first.at, "vllmd: chat serves again")
    assert "chat serves again since" in end.text
    assert told.to("ready") is None


def test_another_cause_and_a_hold_are_told_too() -> None:
    told = Told()
    first = told.take(EngineExited.name, **EXITED)
    other = told.take(EngineExited.name, **{**EXITED, "cause": "gpu_fault"})
    held = told.take(EngineHeld.name, cause="gpu_fault", reason="Reset it.")
    assert first is not None
    assert other is not None
    assert held is not None
    assert (held.alert, held.severity, held.since) == (HELD, "critical", first.at)
    assert told.take(EngineHeld.name, cause="gpu_fault", reason="Reset it.") is None
    stopped = told.to("stopped")
    assert stopped is not None
    assert stopped.summary == "vllmd: chat was stopped"


def test_requested_ends_are_not_told_and_stalls_only_if_nobody_acts() -> None:
    told = Told()
    assert told.take(EngineExited.name, **{**EXITED, "requested": True}) is None
    assert told.take(EngineStalled.name, reason="no step", acted=True) is None
    stalled = told.take(EngineStalled.name, reason="no step", acted=False)
    assert stalled is not None
    assert stalled.alert == STALLED


def test_configuration_that_cannot_be_used_is_told_until_it_can() -> None:
    told = Told()
    refused = told.take(ConfigRefused.name, None, problem="line 3: modle")
    assert refused is not None
    assert (refused.alert, refused.engine) == (CONFIG, None)
    assert "line 3: modle. Nothing changed" in refused.text
    assert told.take(ConfigRefused.name, None, problem="line 3: modle") is None
    good = told.take(ConfigReloaded.name, None)
    assert good is not None
    assert not good.firing
    assert told.take(ConfigReloaded.name, None) is None
    assert told.take(DaemonStarted.name, None) is None


@pytest.mark.parametrize(("how", "words"), [("failed", "by a mistake"), ("lost", "without a word")])
def test_daemon_that_ended_unasked_is_told_by_the_next(how: str, words: str) -> None:
    notice = Told().take(DaemonRecovered.name, None, how=how, problem="KeyError: 'x'")
    assert notice is not None
    assert (notice.alert, notice.firing) == (DAEMON, True)
    assert words in notice.summary
    assert notice.text.startswith("KeyError: 'x'.")


ROW = st.sampled_from(CLASSES).flatmap(lambda each: st.tuples(st.just(each.name), any_fields(each)))


@pytest.mark.long
@given(st.lists(ROW, max_size=6), st.sampled_from(["chat", None]))
def test_take_takes_any_event_whatever_its_fields(
    rows: list[tuple[str, dict[str, Any]]], engine: str | None
) -> None:
    notices = Notices()
    for at, (name, fields) in enumerate(rows):
        notices.take(Event(float(at), name, "info", engine, fields))
