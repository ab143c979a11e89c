from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.events import CLASSES, any_fields
from vllmd.eventlog.bus import Event
from vllmd.events.daemon import ConfigReloaded
from vllmd.events.engine import EngineExited, EnginePhaseReached, EngineStalled, EngineStateChanged
from vllmd.events.lora import LoraFailed, LoraLoaded, LoraUnloaded
from vllmd.traces.event_spans import MAX_PARTS, EventSpan, EventSpans


class Story:
    """Events of an engine, a second apart, and the episodes that they end."""

    def __init__(self) -> None:
        self.episodes = EventSpans()
        self.now = 100.0
        self.told: list[EventSpan] = []

    def put(self, name: str, engine: str | None = "chat", **fields: Any) -> None:
        self.now += 1
        part = self.episodes.take(Event(self.now, name, "info", engine, fields))
        if part is not None:
            self.told.append(part)

    def states(self, *states: str) -> None:
        for state in states:
            self.put(EngineStateChanged.name, state=state)

    def exited(self, **fields: Any) -> None:
        self.put(EngineExited.name, **{"requested": False, "text": "exited", **fields})


def shape(part: EventSpan) -> Any:
    return (part.name, [shape(each) for each in part.parts]) if part.parts else part.name


def test_a_start_has_its_phases_as_children() -> None:
    story = Story()
    story.states("starting", "loading")
    story.put(EnginePhaseReached.name, phase="weights")
    story.put(EnginePhaseReached.name, phase="kv_cache")
    story.states("ready")
    (start,) = story.told
    assert shape(start) == ("engine.start", ["engine.start weights", "engine.start kv_cache"])
    assert (start.started_at, start.ended_at, start.error) == (101, 105, None)
    assert [(p.started_at, p.ended_at) for p in start.parts] == [(103, 104), (104, 105)]
    assert all(p.attributes == {"vllmd.engine": "chat"} for p in (start, *start.parts))


def test_a_stop_is_told_when_nothing_is_left() -> None:
    story = Story()
    story.states("draining", "stopping")
    story.exited(requested=True)
    assert story.told == []
    story.states("stopped")
    (stop,) = story.told
    assert (shape(stop), stop.started_at, stop.ended_at) == ("engine.stop", 101, 104)


def test_a_restart_holds_its_stop_and_its_start() -> None:
    story = Story()
    story.states("draining", "stopping")
    story.exited(requested=True)
    story.states("backoff", "starting", "loading", "ready")
    (restart,) = story.told
    assert shape(restart) == ("engine.restart", ["engine.stop", "engine.start"])
    assert restart.error is None


def test_a_death_is_an_incident_until_it_serves_again() -> None:
    story = Story()
    story.exited(cause="cuda_oom", explanation="The GPU was full.", code="0", kind="engine")
    story.states("backoff", "starting", "loading", "ready")
    (incident,) = story.told
    assert shape(incident) == ("engine.incident", ["engine.start"])
    assert incident.error == "The GPU was full."
    assert incident.attributes["vllmd.cause"] == "cuda_oom"
    assert incident.parts[0].error is None
    assert (incident.started_at, incident.ended_at) == (101, 105)


def test_a_failed_start_is_told_inside_the_incident() -> None:
    story = Story()
    story.states("starting", "loading")
    story.put(EnginePhaseReached.name, phase="weights")
    story.exited(explanation="No such model.")
    story.states("backoff", "held")
    (incident,) = story.told
    assert shape(incident) == (
        "engine.incident",
        [("engine.start", ["engine.start weights"])],
    )
    assert incident.parts[0].error == "No such model."
    assert incident.started_at == 101


def test_the_phase_in_which_a_start_failed_has_the_error() -> None:
    story = Story()
    story.states("starting", "loading")
    story.put(EnginePhaseReached.name, phase="weights")
    story.put(EnginePhaseReached.name, phase="kv_cache")
    story.exited(explanation="Too small.", phase="kv_cache")
    story.states("backoff", "held")
    (incident,) = story.told
    phases = incident.parts[0].parts
    assert [(each.name, each.error) for each in phases] == [
        ("engine.start weights", None),
        ("engine.start kv_cache", "Too small."),
    ]


def test_a_phase_that_was_known_late_began_when_it_did() -> None:
    story = Story()
    story.states("starting", "loading")
    story.put(EnginePhaseReached.name, phase="profile")
    story.now += 20
    story.put(EnginePhaseReached.name, phase="compile", ago_s=12.9)
    story.put(EnginePhaseReached.name, phase="kv_cache", ago_s=500.0)
    story.states("ready")
    profile, compiled, cache = story.told[0].parts
    assert [profile.ended_at, compiled.started_at] == pytest.approx([111.1, 111.1])
    # never before the one that it follows
    assert [compiled.ended_at, cache.started_at] == pytest.approx([111.1, 111.1])


def test_a_stall_that_passes_is_an_incident_too() -> None:
    story = Story()
    story.states("stalled")
    story.put(EngineStalled.name, reason="no step for 120 s")
    story.states("ready")
    (incident,) = story.told
    assert shape(incident) == ("engine.incident", ["engine.stall"])
    assert incident.error == "no step for 120 s"


def test_engines_do_not_mix_and_events_of_none_are_passed_over() -> None:
    story = Story()
    story.put(EngineStateChanged.name, "chat", state="starting")
    story.put(EngineStateChanged.name, "code", state="starting")
    story.put(ConfigReloaded.name, None)
    story.put(EnginePhaseReached.name, "other", phase="weights")
    story.put(EngineStateChanged.name, "code", state="ready")
    (start,) = story.told
    assert start.attributes == {"vllmd.engine": "code"}


def test_an_adopted_engine_has_no_start_to_tell() -> None:
    story = Story()
    story.states("loading", "ready", "unreachable", "ready")
    assert story.told == []


def test_an_engine_that_fails_for_days_is_bounded() -> None:
    story = Story()
    for _ in range(MAX_PARTS * 2):
        story.exited(explanation="again")
        story.states("backoff", "starting", "loading")
    story.states("ready")
    (incident,) = story.told
    assert len(incident.parts) == MAX_PARTS


def test_a_change_of_an_adapter_is_told_by_itself_while_the_engine_serves() -> None:
    story = Story()
    story.put(LoraLoaded.name, adapter="sql", path="/srv/sql", duration_s=0.5)
    story.put(LoraUnloaded.name, adapter="sql", path="/srv/sql", duration_s=0.25)
    story.put(LoraFailed.name, adapter="big", path="/srv/big", reason="rank 64")
    story.put(LoraFailed.name, adapter=None, reason="the folder is gone")
    loaded, unloaded, failed = story.told
    assert (loaded.name, loaded.started_at, loaded.ended_at) == ("engine.lora_change", 100.5, 101)
    assert loaded.attributes == {
        "vllmd.engine": "chat",
        "vllmd.lora.adapter": "sql",
        "vllmd.lora.path": "/srv/sql",
        "vllmd.lora.change": "load",
    }
    assert (unloaded.attributes["vllmd.lora.change"], unloaded.error) == ("unload", None)
    assert (failed.attributes["vllmd.lora.adapter"], failed.error) == ("big", "rank 64")


def test_adapters_that_a_start_loads_are_its_children() -> None:
    story = Story()
    story.states("starting", "loading")
    story.put(EnginePhaseReached.name, phase="listening")
    story.put(LoraLoaded.name, adapter="sql", path="/srv/sql", duration_s=0.5)
    story.states("ready")
    (start,) = story.told
    assert shape(start) == ("engine.start", ["engine.start listening", "engine.lora_change"])
    assert start.parts[1].attributes["vllmd.engine"] == "chat"


ROW = st.sampled_from(CLASSES).flatmap(lambda each: st.tuples(st.just(each.name), any_fields(each)))


@pytest.mark.long
@given(st.lists(ROW, max_size=6))
def test_any_event_is_taken_whatever_its_fields(rows: list[tuple[str, dict[str, Any]]]) -> None:
    episodes = EventSpans()
    for at, (name, fields) in enumerate(rows):
        episodes.take(Event(float(at), name, "info", "chat", fields))


def test_a_death_has_what_was_told_of_it_as_attributes() -> None:
    story = Story()
    told = {name: f"the {name}" for name in ("run_id", "kind", "advice", "incident", "phase")}
    story.exited(code="137", cause="oom_kill", explanation="No memory.", **told)
    story.states("backoff", "held")
    (incident,) = story.told
    told |= {"code": "137", "cause": "oom_kill", "explanation": "No memory.", "text": "exited"}
    told["engine"] = "chat"
    assert incident.attributes == {f"vllmd.{name}": value for name, value in told.items()}


def test_a_stall_has_its_incident_as_an_attribute() -> None:
    story = Story()
    story.put(EngineStalled.name, reason="no step", incident="/var/i")
    story.states("ready")
    (incident,) = story.told
    assert incident.attributes == {"vllmd.engine": "chat", "vllmd.incident": "/var/i"}
