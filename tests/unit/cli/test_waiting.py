from typing import Any

import pytest

from vllmd.cli import waiting
from vllmd.errors import TimedOutError


class FakeClient:
    def __init__(self, *states: str) -> None:
        self.states = list(states)

    def engine(self, name: str) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"name": name, "state": state, "phase": "weights" if state == "loading" else None}


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def ready(engine: dict[str, Any]) -> bool:
    return bool(engine["state"] == "ready")


def test_wait_until_reached_returns_the_status() -> None:
    client = FakeClient("starting", "loading", "ready")
    engine = waiting.wait_until(client, "chat", "ready", ready, 60)  # type: ignore[arg-type]
    assert engine["state"] == "ready"


def test_wait_until_too_long_says_where_it_stands() -> None:
    client = FakeClient("loading")
    with pytest.raises(TimedOutError, match=r"chat is loading \(weights\), not ready, after"):
        waiting.wait_until(client, "chat", "ready", ready, 0)  # type: ignore[arg-type]
