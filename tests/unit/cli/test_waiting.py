from typing import Any

import pytest

from vllmd.cli import waiting
from vllmd.errors import HeldError, TimedOutError, VllmdError


class FakeClient:
    def __init__(self, *states: str) -> None:
        self.states = list(states)

    def engine(self, name: str) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        phase = "weights" if state == "loading" else None
        hold = {"reason": "Mend it."}
        return {"name": name, "state": state, "phase": phase, "hold": hold, "printing": "40%"}


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def ready(engine: dict[str, Any]) -> bool:
    return bool(engine["state"] == "ready")


def test_wait_until_reached_returns_the_status() -> None:
    client = FakeClient("starting", "loading", "ready")
    engine = waiting.wait_until(client, "chat", "ready", ready, 60)  # type: ignore[arg-type]
    assert engine["state"] == "ready"


def test_wait_until_shows_on_a_terminal_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    client = FakeClient("loading", "ready")
    waiting.wait_until(client, "chat", "ready", ready, 60)  # type: ignore[arg-type]
    shown = capsys.readouterr().err
    assert "chat: loading (weights) (" in shown
    assert ")  40%" in shown


def test_wait_until_too_long_says_where_it_stands() -> None:
    client = FakeClient("loading")
    with pytest.raises(TimedOutError, match=r"chat is loading \(weights\), not ready, after"):
        waiting.wait_until(client, "chat", "ready", ready, 0)  # type: ignore[arg-type]


def test_wait_until_held_engine_says_the_fix_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SETTLE_S", -1)
    client = FakeClient("loading", "held")
    with pytest.raises(HeldError, match=r"chat is held: Mend it\."):
        waiting.wait_until(client, "chat", "ready", ready, 60)  # type: ignore[arg-type]


def failed(run_id: str, kind: str = "transient") -> dict[str, Any]:
    diagnosis = {
        "cause": "port_in_use",
        "kind": kind,
        "explanation": "Taken.",
        "advice": "Free it.",
    }
    last = {"run_id": run_id, "requested": False, "text": "exited", "diagnosis": diagnosis}
    more = {"hold": None, "next_start_at": None, "printing": None, "last_exit": last}
    return {"name": "chat", "state": "backoff", "phase": None, **more}


class FailingClient:
    def __init__(self, *engines: dict[str, Any]) -> None:
        self.engines = list(engines)

    def engine(self, _name: str) -> dict[str, Any]:
        return self.engines.pop(0) if len(self.engines) > 1 else self.engines[0]


def test_wait_until_it_fails_more_than_once_ends_with_the_cause() -> None:
    client = FailingClient(failed("old"), failed("a"), failed("a"), failed("b"))
    with pytest.raises(VllmdError, match=r"chat failed: exited\. port_in_use: Taken\. Free it\."):
        waiting.wait_until(client, "chat", "ready", ready, 60)  # type: ignore[arg-type]
    assert len(client.engines) == 1


def test_wait_until_it_fails_and_is_held_says_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SETTLE_S", -1)
    held = {**failed("b"), "state": "held", "hold": {"reason": "Mend it.", "retry_at": None}}
    client = FailingClient(failed("old"), failed("a"), held)
    with pytest.raises(HeldError, match=r"chat is held: Mend it\."):
        waiting.wait_until(client, "chat", "ready", ready, 60)  # type: ignore[arg-type]


def test_wait_until_a_failure_that_may_pass_waits_on() -> None:
    client = FailingClient(failed("old"), failed("a"), {**failed("a"), "state": "ready"})
    engine = waiting.wait_until(client, "chat", "ready", ready, 60)  # type: ignore[arg-type]
    assert engine["state"] == "ready"


def test_wait_until_too_long_names_the_cause_of_the_last_failure() -> None:
    client = FailingClient(failed("old"))
    with pytest.raises(TimedOutError, match=r"after \d+m?s; exited\. port_in_use: Taken\."):
        waiting.wait_until(client, "chat", "ready", ready, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem", "says"),
    [("shim 7 is silent", "shim 7 is silent"), (None, "look at 'vllmd logs chat --weights'")],
)
def test_wait_until_weights_are_not_given_up_says_why(problem: str | None, says: str) -> None:
    weights = {"state": "unresponsive", "problem": problem}
    client = FailingClient({**failed("a"), "state": "stopped", "weights": weights})
    with pytest.raises(TimedOutError, match=f"is stopped, and its weights are not .*: {says}"):
        waiting.wait_until(client, "chat", "stopped", lambda _: False, 0)  # type: ignore[arg-type]
