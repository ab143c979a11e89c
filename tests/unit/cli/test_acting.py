from typing import Any

import pytest

from vllmd.cli import acting
from vllmd.errors import HeldError


class FakeClient:
    """Each look at the engine shows the next state."""

    def __init__(self, *looks: tuple[str, str], warning: str | None = None) -> None:
        self.looks = list(looks)
        self.warning = warning
        self.asked: list[str] = []
        self.refused: str | None = None

    def engine(self, name: str) -> dict[str, Any]:
        state, run_id = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        group = {"refused": self.refused} if self.asked else None
        return {"name": name, "state": state, "run_id": run_id, "phase": None, "group": group}

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


def test_act_restart_that_the_head_of_a_group_refuses_is_not_waited_for() -> None:
    client = FakeClient(("ready", "1"))
    client.refused = "the head, gpu01, refuses the restart: the driver was changed"
    with pytest.raises(HeldError, match=r"^big is ready: the head, gpu01, refuses the restart: "):
        acting.act(client, "big", "restart", "ready", 1800)  # type: ignore[arg-type]


def test_act_stop_is_not_refused_by_what_was_refused_before() -> None:
    client = FakeClient(("ready", "1"), ("stopped", "1"))
    client.refused = "the head, gpu01, refuses the restart: the driver was changed"
    acting.act(client, "big", "stop", "stopped", 5)  # type: ignore[arg-type]
