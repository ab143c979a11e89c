from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.helpers.make import status
from vllmd.engine.state_machine import State
from vllmd.errors import HeldError
from vllmd.http.access import USER
from vllmd.http.wake import waking


class Engine:
    def __init__(self, *, http_wake: bool = True) -> None:
        self.status = status(state=State.SLEEPING)
        self.http_wake = http_wake
        self.asked: list[tuple[str, bool]] = []
        self.error: HeldError | None = None

    @property
    def sleeper(self) -> "Engine":
        return self

    def ask_wake(self, by: str, *, runs: bool = True) -> None:
        if self.error:
            raise self.error
        self.asked.append((by, runs))


def client(engine: Engine, user: str | None = "ops") -> TestClient:
    app: ASGIApp = Starlette(
        routes=[Route("/wake/{engine}", waking({"chat": engine}), methods=["POST"])]
    )

    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        if user is not None:
            scope[USER] = user
        await app(scope, receive, send)

    return TestClient(known)


def test_user_wakes_an_engine() -> None:
    engine = Engine()
    answer = client(engine).post("/wake/chat")
    assert (answer.status_code, answer.json()) == (202, {"engine": "chat", "state": "sleeping"})
    assert engine.asked == [("ops, by HTTP", True)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_no_other_method_changes_anything(method: str) -> None:
    engine = Engine()
    assert client(engine).request(method, "/wake/chat").status_code == 405
    assert engine.asked == []


@pytest.mark.parametrize(
    ("made", "user", "headers", "code", "words"),
    [
        ({}, None, {}, 403, "only a user or a client certificate"),
        ({"http_wake": False}, "ops", {}, 403, "set sleep.http_wake = true for chat"),
        ({}, "ops", {"origin": "https://evil.example"}, 403, "of another site"),
    ],
)
def test_who_may_not_is_refused_with_the_reason(
    made: dict[str, Any], user: str | None, headers: dict[str, str], code: int, words: str
) -> None:
    engine = Engine(**made)
    answer = client(engine, user).post("/wake/chat", headers=headers)
    assert answer.status_code == code
    assert words in answer.text
    assert engine.asked == []


def test_page_of_this_exporter_may_and_an_unknown_engine_is_told() -> None:
    engine = Engine()
    asked = client(engine)
    assert asked.post("/wake/chat", headers={"origin": "http://testserver"}).status_code == 202
    assert asked.post("/wake/other").status_code == 404


def test_what_cannot_be_is_a_conflict() -> None:
    engine = Engine()
    engine.error = HeldError("chat was stopped: 'vllmd start chat' starts it")
    answer = client(engine).post("/wake/chat")
    assert answer.status_code == 409
    assert "was stopped" in answer.text
