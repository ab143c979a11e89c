from pathlib import Path

import pytest

from tests.helpers.control import FakeAdapters, FakeEngine, control_socket
from vllmd.control.client import ControlClient
from vllmd.control.peer import Peer
from vllmd.errors import NotPermittedError, UnknownEngineError, VllmdError

SHOWN = {"engine": "chat", "adapters": []}


def test_adapters_are_shown_and_changed(tmp_path: Path) -> None:
    adapters = FakeAdapters(SHOWN)
    with control_socket(tmp_path / "c.sock", adapters=adapters) as path:
        client = ControlClient(path)
        assert client.adapters() == [SHOWN]
        assert client.change_adapter("chat", "add", "sql", "/srv/sql") == SHOWN
        client.change_adapter("chat", "remove", "sql")
        client.change_adapter("chat", "reload", "sql")
    assert adapters.asked == [
        ("chat", "add", "sql", "/srv/sql"),
        ("chat", "remove", "sql"),
        ("chat", "reload", "sql"),
    ]


def test_status_counts_what_is_wanted_and_what_of_it_is_loaded(tmp_path: Path) -> None:
    listed = [
        {"name": "sql", "source": "file", "condition": "loaded"},
        {"name": "law", "source": "command", "condition": "failed"},
        {"name": "old", "source": None, "condition": "unlisted"},
    ]
    adapters = FakeAdapters({"engine": "chat", "adapters": listed})
    engines = FakeEngine("chat"), FakeEngine("plain")
    with control_socket(tmp_path / "c.sock", *engines, adapters=adapters) as path:
        counts = [each["adapters"] for each in ControlClient(path).status()["engines"]]
    assert counts == [{"wanted": 2, "loaded": 1, "missing": ["law"]}, None]


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    adapters = FakeAdapters(SHOWN)
    with control_socket(tmp_path / "c.sock", adapters=adapters) as path:
        client = ControlClient(path)
        with pytest.raises(UnknownEngineError, match="no engine 'other'"):
            client.change_adapter("other", "add", "sql", "/a")
        with pytest.raises(VllmdError, match="known: add, remove, reload"):
            client.change_adapter("chat", "burn", "sql")
        with pytest.raises(VllmdError, match="the body must be JSON"):
            client._ask("POST", "/v1/lora/chat/add")
        for body in ({"name": None}, {"name": ["sql"]}, {"name": "sql", "path": 7}):
            with pytest.raises(VllmdError, match="the body must be JSON"):
                client._ask("POST", "/v1/lora/chat/add", body)
        adapters.error = VllmdError("its rank 64 is too high")
        with pytest.raises(VllmdError, match="rank 64"):
            client.change_adapter("chat", "add", "sql", "/a")
        adapters.error = OSError("disk full")
        with pytest.raises(VllmdError, match=r"nothing changed, .*disk full"):
            client.change_adapter("chat", "add", "sql", "/a")
    assert adapters.asked == []


def test_only_those_who_may_act_may_change_adapters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Peer, "may_act", lambda _: False)
    adapters = FakeAdapters(SHOWN)
    with control_socket(tmp_path / "c.sock", adapters=adapters) as path:
        client = ControlClient(path)
        assert client.adapters() == [SHOWN]
        with pytest.raises(NotPermittedError, match="may not add an adapter"):
            client.change_adapter("chat", "add", "sql", "/a")
    assert adapters.asked == []
