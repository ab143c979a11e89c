from tests.helpers.make import status
from vllmd.engine.doubts import Doubt, Doubts
from vllmd.engine.state_machine import State

LOADING = status(state=State.LOADING)


def doubt(found: str) -> Doubt:
    return Doubt("model-missing", "error", found, "Correct it.", ("a line",))


def test_of_a_start_under_way_has_what_each_source_found_last() -> None:
    doubts = Doubts()
    doubts.tell("chat", "doctor", [doubt("old")])
    doubts.tell("chat", "doctor", [doubt("new")])
    doubts.tell("chat", "output", [doubt("printed")])
    doubts.tell("embed", "doctor", [doubt("another engine's")])
    assert [each.found for each in doubts.of(LOADING)] == ["new", "printed"]


def test_of_an_engine_that_serves_or_begins_anew_has_nothing() -> None:
    doubts = Doubts()
    doubts.tell("chat", "doctor", [doubt("x")])
    assert doubts.of(status(state=State.READY)) == ()
    assert doubts.of(status(state=State.HELD)) == ()
    doubts.begin("chat")
    assert doubts.of(LOADING) == ()


def test_to_json_is_what_status_prints() -> None:
    assert doubt("x").to_json() == {
        "check": "model-missing",
        "severity": "error",
        "found": "x",
        "fix": "Correct it.",
        "evidence": ["a line"],
    }
