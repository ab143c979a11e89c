import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from structlog.testing import capture_logs

from vllmd.control.answers import LOGGED_A_MINUTE, MAX_USERS, RefusalLog, error, refused
from vllmd.control.peer import Peer


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def request_of(uid: int, refusals: RefusalLog) -> Request:
    app = Starlette()
    app.state.refusals = refusals
    peer = Peer(1, uid, frozenset({uid}))
    return Request({"type": "http", "client": (peer, 1), "app": app})


def test_error_is_a_sentence() -> None:
    answer = error(404, "no such thing")
    assert (answer.status_code, answer.content) == (404, {"error": "no such thing"})


def test_refusal_says_what_to_do_and_is_logged() -> None:
    with capture_logs() as logs:
        answer = refused(request_of(12345, RefusalLog()), "reap", "processes", engine="chat")
    assert answer.status_code == 403
    assert "may not reap processes" in answer.content["error"]
    assert logs == [
        {
            "event": "request.refused",
            "log_level": "warning",
            "action": "reap",
            "user": "uid 12345",
            "engine": "chat",
        }
    ]


@pytest.mark.long
def test_refusals_of_a_user_are_logged_some_a_minute_and_the_rest_is_counted() -> None:
    clock = Clock()
    refusals = RefusalLog(clock)
    with capture_logs() as logs:
        for _ in range(3000):
            assert refused(request_of(12345, refusals), "stop", "an engine").status_code == 403
        assert len(logs) == LOGGED_A_MINUTE
        refused(request_of(54321, refusals), "stop", "an engine")
        assert logs[-1]["user"] == "uid 54321"  # another user is heard
        clock.now += 60
        refused(request_of(12345, refusals), "stop", "an engine")
    assert logs[-1]["not_logged"] == 3000 - LOGGED_A_MINUTE
    assert len(logs) == LOGGED_A_MINUTE + 2


def test_refusals_of_many_users_are_bounded_too() -> None:
    clock = Clock()
    refusals = RefusalLog(clock)
    logged = sum(refusals.note(uid) is not None for uid in range(10_000))
    assert logged <= MAX_USERS + LOGGED_A_MINUTE
    clock.now += 60
    logged = sum(refusals.note(uid) is not None for uid in range(20_000, 30_000))
    assert logged <= MAX_USERS + LOGGED_A_MINUTE


def test_refusal_logs_no_more_than_a_little_of_what_was_sent() -> None:
    about: dict[str, Any] = {"engine": "e" * 10_000}
    with capture_logs() as logs:
        answer = refused(request_of(12345, RefusalLog()), "a" * 10_000, "an adapter", **about)
    assert len(json.dumps(logs)) < 300
    assert len(str(answer.content)) < 300
