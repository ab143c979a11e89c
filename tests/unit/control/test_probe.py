from pathlib import Path

import pytest

from tests.helpers.control import FakeProbes, control_socket
from vllmd.control.client import ControlClient
from vllmd.control.peer import Peer
from vllmd.errors import HeldError, NotPermittedError, UnknownEngineError, VllmdError


def test_answers_are_looked_at_and_taken_for_right(tmp_path: Path) -> None:
    probes = FakeProbes({"verdict": "right"})
    with control_socket(tmp_path / "c.sock", probes=probes) as path:
        assert ControlClient(path).probe("chat") == {"verdict": "right"}
        ControlClient(path).probe("chat", record=True)
    assert probes.asked == [("chat", False), ("chat", True)]


def test_answers_are_not_taken_for_right_where_that_is_not_wanted(tmp_path: Path) -> None:
    probes = FakeProbes({"verdict": "right"})
    with control_socket(tmp_path / "c.sock", probes=probes) as path:
        client = ControlClient(path)
        client._ask("POST", "/v1/probe/chat?record=false")
        with pytest.raises(VllmdError, match="record is 'maybe'"):
            client._ask("POST", "/v1/probe/chat?record=maybe")
    assert probes.asked == [("chat", False)]


@pytest.mark.parametrize(
    ("given", "raised"),
    [
        (UnknownEngineError("no engine"), UnknownEngineError),
        (HeldError("chat is not asked"), HeldError),
        (VllmdError("add a table"), VllmdError),
    ],
)
def test_why_it_is_not_asked_is_said(
    tmp_path: Path, given: VllmdError, raised: type[VllmdError]
) -> None:
    probes = FakeProbes({})
    probes.error = given
    socket = control_socket(tmp_path / "c.sock", probes=probes)
    with socket as path, pytest.raises(raised, match=str(given)):
        ControlClient(path).probe("chat")


def test_who_may_not_act_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probes = FakeProbes({})
    monkeypatch.setattr(Peer, "may_act", lambda _: False)
    socket = control_socket(tmp_path / "c.sock", probes=probes)
    with socket as path, pytest.raises(NotPermittedError):
        ControlClient(path).probe("chat")
    assert not probes.asked
