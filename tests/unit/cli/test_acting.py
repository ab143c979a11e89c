from typing import Any

import pytest

from vllmd.cli import acting
from vllmd.engine.group_interface import GOES_ON
from vllmd.errors import HeldError


class FakeClient:
    """Each look at the engine shows the next state."""

    def __init__(self, *looks: tuple[str, str], warning: str | None = None) -> None:
        self.looks = list(looks)
        self.warning = warning
        self.problem: str | None = None
        self.asked: list[str] = []

    def engine(self, name: str) -> dict[str, Any]:
        state, run_id = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        about = {"phase": None, "problem": self.problem, "reason": None}
        return {"name": name, "state": state, "run_id": run_id, **about}

    def act(self, name: str, action: str) -> dict[str, Any]:
        self.asked.append(f"{action} {name}")
        return {"warning": self.warning}


def test_act_without_a_goal_returns_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    client = FakeClient(("stopped", "1"), warning="not written down")
    acting.act(client, "chat", "start", None, 5)  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert client.asked == ["start chat"]
    assert captured.out == "chat: start requested\n"
    assert "not written down" in captured.err


def test_act_restart_waits_for_a_new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = FakeClient(("ready", "1"), ("ready", "1"), ("loading", "2"), ("ready", "2"))
    acting.act(client, "chat", "restart", "ready", 5)  # type: ignore[arg-type]
    assert len(client.looks) == 1


def test_act_does_not_wait_for_a_restart_that_the_group_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = FakeClient(("ready", "1"), ("draining", "1"), ("ready", "1"))
    client.problem = f"{GOES_ON}the driver has changed"
    with pytest.raises(HeldError, match="the driver has changed"):
        acting.act(client, "chat", "restart", "ready", 5)  # type: ignore[arg-type]
