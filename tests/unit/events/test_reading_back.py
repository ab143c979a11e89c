import io
import json
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.events import ANYTHING, CLASSES, any_fields, any_of
from vllmd.eventlog import log
from vllmd.eventlog.bus import Event, EventBus
from vllmd.events.base import TypedEvent, emit, to_fields
from vllmd.events.daemon import ConfigReloaded, PartFailed
from vllmd.events.engine import EngineExited, EngineHeld, EngineStateChanged
from vllmd.events.history import HistoryIncomplete
from vllmd.events.lora import LoraFailed
from vllmd.events.reading_back import by_name, from_fields, read_back
from vllmd.util.redact import Redactor


@pytest.mark.long
@given(st.sampled_from(CLASSES).flatmap(any_of))
def test_any_event_that_is_told_and_read_back_is_the_same(event: TypedEvent) -> None:
    row = json.loads(json.dumps(to_fields(event)))
    assert from_fields(type(event), row) == event


@pytest.mark.long
@given(st.sampled_from(CLASSES).flatmap(lambda kind: st.tuples(st.just(kind), any_fields(kind))))
def test_any_row_is_read_and_can_be_told_again(row: tuple[type[TypedEvent], Any]) -> None:
    kind, fields = row
    found = from_fields(kind, fields)
    assert from_fields(kind, to_fields(found)) == found


@given(st.sampled_from(CLASSES), ANYTHING)
def test_row_whose_fields_are_none_is_read(kind: type[TypedEvent], fields: object) -> None:
    assert isinstance(from_fields(kind, fields), kind)


def test_what_is_missing_is_as_if_nothing_was_said() -> None:
    nothing = from_fields(EngineExited, {})
    assert (nothing.code, nothing.requested, nothing.cause) == ("", False, None)
    assert (nothing.evidence, nothing.killed, nothing.incident) == (None, (), None)
    assert from_fields(EngineHeld, {"cause": "x"}).retry_at is None
    assert from_fields(ConfigReloaded, {}).applied == {}
    assert from_fields(HistoryIncomplete, {}).until == 0.0
    assert from_fields(LoraFailed, {}) == LoraFailed()


@pytest.mark.parametrize(
    ("kind", "fields", "read"),
    [
        (EngineStateChanged, {"after_s": 3}, 3.0),
        (EngineStateChanged, {"after_s": "3"}, 0.0),
        (EngineStateChanged, {"after_s": True}, 0.0),
        (EngineStateChanged, {"after_s": float("nan")}, 0.0),
        (EngineStateChanged, {"after_s": float("inf")}, 0.0),
        (EngineStateChanged, {"after_s": 10**400}, 0.0),
        (EngineStateChanged, {"state": 7}, "7"),
        (EngineStateChanged, {"state": ["ready"]}, ""),
        (EngineStateChanged, {"state": None}, ""),
        (EngineStateChanged, {"state": False}, ""),
        (EngineExited, {"requested": 1}, False),
        (EngineExited, {"requested": True}, True),
        (EngineExited, {"killed": ["a", None, 3, ["b"]]}, ("a", "3")),
        (EngineExited, {"killed": "a"}, ()),
        (EngineExited, {"evidence": "a"}, None),
        (PartFailed, {"failures": True}, 0),
        (PartFailed, {"failures": 2.0}, 0),
        (PartFailed, {"failures": 2}, 2),
        (ConfigReloaded, {"applied": {"": ["a"], "chat": 3}}, {"": ("a",)}),
        (ConfigReloaded, {"applied": [1]}, {}),
    ],
)
def test_what_is_of_a_wrong_kind_is_as_if_it_was_missing(
    kind: type[TypedEvent], fields: dict[str, Any], read: Any
) -> None:
    (name,) = fields
    found = getattr(from_fields(kind, fields), name)
    assert (found, type(found)) == (read, type(read))


def test_fields_that_are_not_known_are_passed_over() -> None:
    newer = {"cause": "x", "reason": "y", "retry_at": 1.5, "mood": "sad"}
    assert from_fields(EngineHeld, newer) == EngineHeld(cause="x", reason="y", retry_at=1.5)


def test_record_of_a_name_that_nobody_reads_is_none() -> None:
    kinds = by_name(EngineHeld)
    assert read_back(kinds, Event(1.0, "engine.exited", "error", "chat", {})) is None
    assert read_back(kinds, Event(1.0, "engine.danced", "info", "chat", {"a": 1})) is None
    assert isinstance(read_back(kinds, Event(1.0, "engine.held", "error")), EngineHeld)


def test_secrets_are_masked_in_what_was_told_and_so_in_what_is_read_back() -> None:
    feed, heard, stream = EventBus(), list[Event](), io.StringIO()
    feed.attach({"heard": heard.append})
    log.configure(stream, steps=[Redactor(["hunter2secret"]), feed])
    told = EngineHeld(cause="x", reason="the key is hunter2secret", retry_at=None)
    try:
        emit(structlog.get_logger(), told, engine="chat")
    finally:
        structlog.reset_defaults()
    (record,) = heard
    found = read_back(by_name(EngineHeld), record)
    assert found == EngineHeld(cause="x", reason="the key is ********", retry_at=None)
    assert (record.engine, record.level) == ("chat", "error")
    assert "hunter2secret" not in stream.getvalue()
