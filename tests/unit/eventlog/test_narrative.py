from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.events import ANYTHING
from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.events.engine import (
    EngineBackoffStarted,
    EngineCacheMoved,
    EngineDoubted,
    EngineExited,
    EngineHeld,
    EngineRoomAwaited,
    EngineRoomWaitEnded,
    EngineSpawned,
    EngineStalled,
    EngineStateChanged,
)
from vllmd.events.history import HistoryIncomplete, HistoryInterrupted, HistorySetAside
from vllmd.events.requests import RequestAccepted
from vllmd.events.weights import WeightsNotLoaded, WeightsRenewed, WeightsUnresponsive

NOW = 1_000_000.0
FIELDS = [
    *("code", "requested", "text", "cause", "explanation", "advice", "evidence", "incident"),
    *("state", "reason", "retry_at", "pause_s", "why", "action", "user", "missing"),
    "last_event_at",
]


def told(*given: tuple[float, str, dict[str, Any]], engine: str = "chat") -> list[Event]:
    return [
        Event(
            NOW - ago,
            name,
            "info",
            engine if name.startswith(("engine", "req", "weights")) else None,
            f,
        )
        for ago, name, f in given
    ]


def exited(ago: float, cause: str = "engine_core_died", **more: Any) -> tuple[float, str, Any]:
    fields = {
        "code": "0",
        "requested": False,
        "text": "exited with code 0 unexpectedly",
        "cause": cause,
        "kind": "transient",
        "explanation": f"Explained: {cause}.",
        "advice": "Do this.",
        "evidence": ["the line"],
        **more,
    }
    return ago, EngineExited.name, fields


def to(ago: float, state: str) -> tuple[float, str, Any]:
    return ago, EngineStateChanged.name, {"state": state}


SPAWNED = EngineSpawned.name


def test_tell_what_died_why_what_was_done_and_what_to_do() -> None:
    found = narrative.tell(
        "chat",
        told(
            to(9000, "starting"),
            to(8000, "ready"),
            exited(800),
            to(800, "backoff"),
            (800, EngineBackoffStarted.name, {"pause_s": 1.0}),
            (799, SPAWNED, {}),
            to(760, "ready"),
        ),
        NOW,
    )
    report = found.report
    assert report.what.startswith("chat serves again since ")
    assert "(12m 40s ago). Before: chat failed 13m 20s ago, at " in report.what
    assert report.what.endswith(", after it had served for 2h: it exited with code 0 unexpectedly.")
    assert report.why == "Explained: engine_core_died. (cause: engine_core_died)"
    assert report.evidence == ("the line",)
    assert report.done.startswith("Another start was planned after 1s; it was started again at ")
    assert "; it serves again since " in report.done
    assert report.next == ("Nothing has to be done now.", "Do this.")
    assert report.more == ("vllmd logs chat",)
    assert found.text == report.text()
    assert (found.cause, found.kind, found.state) == ("engine_core_died", "transient", "ready")
    assert (found.failures, found.evidence, found.at) == (1, ("the line",), NOW - 800)


def test_tell_of_a_streak_names_the_first_if_it_was_another() -> None:
    events_ = told(
        exited(900, "old"),
        to(899, "ready"),
        exited(800, "gpu_fault"),
        (790, SPAWNED, {}),
        exited(700),
        (690, SPAWNED, {}),
        exited(600),
        (600, EngineHeld.name, {"retry_at": NOW + 60}),
    )
    found = narrative.tell("chat", events_, NOW)
    assert found.failures == 3
    assert "It was failure 3 in a row; the first one" in found.text
    assert "was another: Explained: gpu_fault." in found.text
    assert "It is not started again until that is fixed; retry at" in found.text
    same = narrative.tell("chat", [e for e in events_ if e.fields.get("cause") != "gpu_fault"], NOW)
    assert "failure 2 in a row, all of the same cause" in same.text


def test_tell_counts_failures_of_an_engine_that_was_ready_in_between() -> None:
    flapping = told(exited(9000), exited(900), to(890, "ready"), exited(800), to(790, "ready"))
    found = narrative.tell("chat", flapping, NOW)
    assert found.failures == 1
    assert "It was failure 2 within an hour." in found.text


def test_tell_of_a_start_that_failed_at_once_does_not_say_that_it_served() -> None:
    found = narrative.tell("chat", told(to(99, "ready"), to(50, "starting"), exited(49.5)), NOW)
    assert ", 500ms after its start: it exited" in found.text


def test_tell_of_a_stall_that_nobody_ended() -> None:
    stalled = (50, EngineStalled.name, {"reason": "no step for 2m"})
    alone = narrative.tell("chat", told((90, SPAWNED, {}), stalled), NOW)
    assert "it makes no progress and was left as it is (no step for 2m)" in alone.text
    killed = narrative.tell("chat", told(stalled, exited(40, "stalled")), NOW)
    assert killed.cause == "stalled"


def test_tell_of_an_engine_that_never_failed() -> None:
    fine = narrative.tell("chat", told(to(50, "ready")), NOW)
    assert "chat has not failed since" in fine.text
    assert "it is ready" in fine.text
    asked = told((50, EngineExited.name, {"requested": True}), to(50, "stopped"))
    assert "It ended last 50s ago as requested." in narrative.tell("chat", asked, NOW).text
    assert narrative.tell("chat", [], NOW).report.what.startswith("Nothing is known of chat")


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        (HistoryInterrupted.name, {"last_event_at": NOW - 100}, "vllmd itself was killed after"),
        (HistoryIncomplete.name, {"missing": 3}, "3 events before"),
        (HistorySetAside.name, {}, "The history was damaged"),
    ],
)
def test_tell_minds_a_gap_after_the_failure(name: str, fields: Any, words: str) -> None:
    assert words in narrative.tell("chat", told(exited(60), (50, name, fields)), NOW).text
    assert "gap" not in narrative.tell("chat", told((90, name, fields), exited(60)), NOW).text


def test_engines_in_names_each_once() -> None:
    both = told(exited(5)) + told(exited(4), engine="embed") + told(exited(3))
    assert narrative.engines_in(both) == ["chat", "embed"]
    assert "chat" not in narrative.tell("embed", both, NOW).text


@pytest.mark.parametrize("name", narrative.NAMES)
def test_tell_takes_any_event_of_another_version(name: str) -> None:
    """An older or newer vllmd wrote it: a field that is missing is not told, and nothing breaks."""
    found = narrative.tell("chat", told((9, EngineExited.name, {}), (8, name, {})), NOW)
    assert "chat failed" in found.report.what


ROWS = st.lists(
    st.tuples(
        st.floats(0, 90),
        st.sampled_from(narrative.NAMES),
        st.dictionaries(st.sampled_from(FIELDS), ANYTHING | st.just("ready")) | ANYTHING,
    ),
    max_size=5,
)


@pytest.mark.long
@given(ROWS)
def test_tell_takes_any_row_however_damaged(rows: list[tuple[float, str, Any]]) -> None:
    rows.sort(key=lambda row: -row[0])
    found = narrative.tell("chat", [*told(*rows), *told(exited(0.5))], NOW)
    assert "chat failed" in found.report.what
    assert narrative.tell("chat", told(*rows), NOW).engine == "chat"


def test_tell_of_a_time_that_no_calendar_has() -> None:
    held = (9, EngineHeld.name, {"retry_at": 1e300})
    assert "retry at a time that no clock shows" in (
        narrative.tell("chat", told(exited(10), held), NOW).text
    )


def test_tell_of_an_end_without_words_says_its_code() -> None:
    for fields, words in (
        ({"code": "137"}, "exited with code 137 unexpectedly"),
        ({}, "code unknown"),
    ):
        assert words in narrative.tell("chat", told((9, EngineExited.name, fields)), NOW).text


def test_tell_passes_over_what_no_story_is_made_of() -> None:
    other = (5, "engine.danced", {"with": "wolves"})
    assert "It was failure" not in narrative.tell("chat", told(exited(9), other), NOW).text
    assert "since" in narrative.tell("chat", told(other), NOW).text


def test_tell_of_a_stall_after_which_it_was_started_is_no_failure() -> None:
    stalled = (50, EngineStalled.name, {"reason": "no step for 2m"})
    assert narrative.tell("chat", told(stalled, (40, SPAWNED, {})), NOW).at is None


def test_tell_says_what_was_done_until_it_served_and_only_what_was_asked_of_the_engine() -> None:
    done = told(
        exited(90),
        (80, RequestAccepted.name, {"action": "rotate", "user": "eve"}),
        (70, RequestAccepted.name, {"action": "start", "user": "root"}),
        (60, EngineHeld.name, {"retry_at": NOW - 1}),
        to(50, "ready"),
        (40, EngineCacheMoved.name, {"to": None}),
    )
    text = narrative.tell("chat", done, NOW).text
    assert "Root asked to start it; it is not started again until that is fixed; it serves" in text
    assert "rotate" not in text
    assert "compile cache" not in text


def test_tell_says_what_became_of_weights_that_are_kept() -> None:
    done = told(
        exited(90),
        (80, WeightsRenewed.name, {"why": "/m/a changed"}),
        (75, WeightsUnresponsive.name, {"shim_pid": 7, "problem": "silent", "advice": "kill it"}),
        (70, WeightsNotLoaded.name, {"problem": "no room"}),
    )
    text = narrative.tell("chat", done, NOW).text
    assert "weights are loaded anew (/m/a changed); its weights may hold GPU memory: silent" in text
    assert "(kill it); it loads its weights by itself: no" in text


def test_tell_of_a_held_engine_quotes_whole_and_ends_with_a_command_to_paste() -> None:
    line = "ValueError: " + "a long reason " * 40 + "that fits 74720"
    advice = "Mend it, then 'vllmd start'; 'vllmd logs' has more."
    events_ = told(
        exited(
            60, "kv_cache_too_small", evidence=[line, "another"], advice=advice, incident="/i/1"
        ),
        to(59, "held"),
    )
    report = narrative.tell("chat", events_, NOW).report
    assert report.evidence == (line, "another")
    assert report.next == (
        "Mend it, then 'vllmd start chat'; 'vllmd logs chat' has more.",
        "vllmd start chat",
    )
    assert report.more == ("/i/1", "vllmd logs chat")
    assert report.done == "Nothing yet."


def test_to_json_of_a_story_has_the_parts_of_its_report() -> None:
    shown = narrative.tell("chat", told(exited(60)), NOW).to_json()
    assert shown["what"].startswith("chat failed 1m ago")
    assert "report" not in shown
    assert set(shown) >= {"text", "why", "evidence", "done", "next", "more", "cause", "incident"}


def doubted(ago: float, **more: Any) -> tuple[float, str, Any]:
    fields = {
        "check": "model-missing",
        "severity": "error",
        "found": "There is no folder /modle.",
        "fix": "Set model to /model.",
        **more,
    }
    return ago, EngineDoubted.name, fields


def test_tell_of_a_start_under_way_says_at_once_that_it_will_fail() -> None:
    started = told(to(30, "starting"), to(29, "loading"), doubted(20))
    report = narrative.tell("chat", started, NOW).report
    assert report.what == "chat has been loading for 30s, and will probably fail."
    assert report.why == "There is no folder /modle."
    assert report.next == ("Set model to /model.",)
    again = told(exited(60)) + started
    found = narrative.tell("chat", again, NOW)
    assert "will probably fail. chat failed 1m ago" in found.report.what
    assert found.cause == "engine_core_died"


def test_tell_of_a_doubt_that_is_over_or_only_a_warning_says_nothing() -> None:
    for events_ in (
        told(to(30, "starting"), doubted(20), to(10, "ready")),
        told(to(30, "starting"), to(29, "loading"), doubted(20, severity="warning")),
        told(doubted(50), to(40, "ready"), to(30, "starting"), to(29, "loading")),
    ):
        assert "probably" not in narrative.tell("chat", events_, NOW).text


def awaited(ago: float) -> tuple[float, str, Any]:
    text = "waits for GPU memory: 4.0 GiB too little is free on GPU 0, held by python (pid 7)"
    fields = {"gpu": "0", "missing_bytes": 4, "holders": ["x"], "sure": True, "text": text}
    return ago, EngineRoomAwaited.name, fields


def test_tell_a_start_that_waits_for_memory_says_for_whom() -> None:
    story = narrative.tell("chat", told(to(100, "stopped"), awaited(50)), NOW)
    assert "It waits for GPU memory: 4.0 GiB too little is free on GPU 0, held by" in story.text
    ended = (20, EngineRoomWaitEnded.name, {"why": "there is room", "after_s": 30.0})
    story = narrative.tell("chat", told(to(100, "stopped"), awaited(50), ended), NOW)
    assert "waits for GPU memory" not in story.text


def test_tell_a_failure_whose_next_start_waits_for_memory_says_so() -> None:
    ended = (20, EngineRoomWaitEnded.name, {"why": "there is room", "after_s": 30.0})
    story = narrative.tell("chat", told(exited(100), awaited(50), ended), NOW)
    assert "held by python (pid 7)" in story.report.done
    assert "it waited no more after 30s (there is room)" in story.report.done
