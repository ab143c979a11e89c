import stat
from pathlib import Path

import attrs
import httpx
import pytest

from tests.helpers.control import FakeAdapters, FakeEngine, FakeHost, control_socket
from tests.helpers.status_scenes import adapters
from vllmd.control import peer, server
from vllmd.control.client import ControlClient
from vllmd.control.events import events_of
from vllmd.control.server import listen
from vllmd.errors import ConfigError, NotPermittedError, UnknownEngineError, VllmdError
from vllmd.eventlog.bus import Event
from vllmd.history.reading import EventFilter
from vllmd.util.redact import Redactor


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_act_reaches_the_engine(tmp_path: Path, action: str) -> None:
    engine = FakeEngine()
    with control_socket(tmp_path / "c.sock", engine) as path:
        answer = ControlClient(path).act("chat", action)
    assert engine.asked == [action]
    assert answer["engine"]["name"] == "chat"
    assert answer["warning"] is None


def test_act_without_rights_is_a_clear_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer.Peer, "may_act", lambda _: False)
    engine = FakeEngine()
    with control_socket(tmp_path / "c.sock", engine) as path:
        with pytest.raises(NotPermittedError, match="join the group vllmd"):
            ControlClient(path).act("chat", "stop")
        assert ControlClient(path).status()["engines"][0]["name"] == "chat"
    assert engine.asked == []


def test_act_unknown_engine_and_action_say_what_there_is(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine()) as path:
        client = ControlClient(path)
        with pytest.raises(UnknownEngineError, match="'other' is configured; there is: chat"):
            client.act("other", "stop")
        with pytest.raises(VllmdError, match="known: start, stop, restart"):
            client.act("chat", "dance")


def test_act_that_cannot_be_written_down_warns(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.error = OSError(28, "No space left on device")
    with control_socket(tmp_path / "c.sock", engine) as path:
        answer = ControlClient(path).act("chat", "stop")
    assert "will not outlast this daemon" in answer["warning"]
    assert "No space left" in answer["warning"]


def test_act_with_a_disk_that_stands_still_is_done_and_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SAVE_S", 0.05)
    engine = FakeEngine()
    engine.hangs = True
    with control_socket(tmp_path / "c.sock", engine) as path:
        answer = ControlClient(path).act("chat", "stop")
    assert engine.asked == ["stop"]
    assert "the disk does not answer" in answer["warning"]


def test_listen_lets_everybody_ask(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    path.touch()
    with listen(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_events_come_as_they_are_wanted(tmp_path: Path) -> None:
    host = FakeHost()
    host.found = [Event(1.5, "engine.exited", "error", "chat", {"code": "0"}, 7)]
    wanted = EventFilter(since=1.0, engine="chat", level="error", names=("engine.*",), limit=5)
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        assert events_of(ControlClient(path), wanted) == host.found
        assert host.wanted == [wanted]
        with pytest.raises(VllmdError, match="level is 'loud'; known: debug"):
            events_of(ControlClient(path), EventFilter(level="loud"))
        host.error = VllmdError("the history cannot be read")
        with pytest.raises(VllmdError, match="cannot be read"):
            events_of(ControlClient(path), wanted)


def test_reload_tells_what_changes_or_why_nothing_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost()
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        assert ControlClient(path).reload(apply=False) == host.plan
        ControlClient(path).reload(apply=True)
        assert host.applied == [False, True]
        host.error = ConfigError("line 3: modle")
        with pytest.raises(ConfigError, match="line 3: modle"):
            ControlClient(path).reload(apply=False)
        monkeypatch.setattr(peer.Peer, "may_act", lambda _: False)
        with pytest.raises(NotPermittedError, match="may not reload the configuration"):
            ControlClient(path).reload(apply=False)


@pytest.mark.parametrize(
    "way",
    [
        "/v1/reload",
        "/v1/logs/chat/rotate",
        "/v1/engines/chat/start",
        "/v1/engines/chat/stop",
        "/v1/engines/chat/restart",
    ],
)
def test_whoever_may_not_act_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    host, engine = FakeHost(), FakeEngine()
    monkeypatch.setattr(peer.Peer, "may_act", lambda _: False)
    with control_socket(tmp_path / "c.sock", engine, host=host) as path:
        client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)), base_url="http://vllmd", timeout=20
        )
        with client:
            assert client.post(way).status_code == 403
            assert client.get("/v1/status").status_code == 200
    assert (host.applied, host.rotated, engine.asked) == ([], [], [])


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("limit=-1", "wrong parameter: limit is -1: from 1 to 10000"),
        ("limit=0", "wrong parameter: limit is 0"),
        ("after_id=1e22", "wrong parameter: after_id is '1e22'"),
        (f"names={'n' * 9000}", "wrong parameter: a name in names has 9000 characters"),
    ],
)
def test_events_refuses_what_is_out_of_bounds(tmp_path: Path, query: str, problem: str) -> None:
    host = FakeHost()
    path = tmp_path / "c.sock"
    with control_socket(path, host=host), pytest.raises(VllmdError, match=problem):
        ControlClient(path)._ask("GET", f"/v1/events?{query}")
    assert host.wanted == []


def test_status_after_a_change_is_never_from_before_it(tmp_path: Path) -> None:
    lora = FakeAdapters(adapters("chat", 1, missing=1))
    with control_socket(tmp_path / "c.sock", FakeEngine(), adapters=lora) as path:
        client = ControlClient(path)
        assert client.status()["engines"][0]["adapters"]["loaded"] == 0
        lora.shown = [adapters("chat", 1)]
        assert client.status()["engines"][0]["adapters"]["loaded"] == 0  # kept for a second
        client.act("chat", "start")
        assert client.status()["engines"][0]["adapters"]["loaded"] == 1


def test_parameter_that_makes_no_sense_does_nothing(tmp_path: Path) -> None:
    host, engine = FakeHost(), FakeEngine()
    with control_socket(tmp_path / "c.sock", engine, host=host) as path:
        client = ControlClient(path)
        client._ask("POST", "/v1/reload?apply=false")
        with pytest.raises(VllmdError, match="apply is 'no'"):
            client._ask("POST", "/v1/reload?apply=no")
        with pytest.raises(VllmdError, match="weights is 'drop': keep"):
            client._ask("POST", "/v1/engines/chat/stop?weights=drop")
        with pytest.raises(VllmdError, match="series is 'no'"):
            client._ask("GET", "/v1/status?series=no")
    assert (host.applied, engine.asked) == ([False], [])


@pytest.mark.parametrize(
    ("method", "path", "code", "said"),
    [
        ("GET", "/v1/nothing", 404, "nothing answers '/v1/nothing'"),
        ("GET", "/v1/status/", 404, "nothing answers '/v1/status/'"),
        ("PUT", "/v1/status", 405, "'/v1/status' takes no 'PUT'"),
        ("POST", "/v1/engines//stop", 404, "nothing answers"),
    ],
)
def test_what_nothing_answers_is_said_in_json(
    tmp_path: Path, method: str, path: str, code: int, said: str
) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine()) as socket:
        transport = httpx.HTTPTransport(uds=str(socket))
        with httpx.Client(transport=transport, base_url="http://vllmd", timeout=20) as client:
            answer = client.request(method, path)
    assert answer.status_code == code
    assert said in answer.json()["error"]
    assert ("allow" in answer.headers) is (code == 405)


def test_every_answer_is_masked_as_it_leaves(tmp_path: Path) -> None:
    """Also what is refused, and what the daemon says of its own parts."""
    host = FakeHost()
    problem = "postgres://u:planted-1@h is away"
    host.more["failing"] = [{"part": "logs", "failures": 3, "problem": problem}]
    host.error = ConfigError("postgres://u:planted-1@h is away")
    engine = FakeEngine()
    engine.status = attrs.evolve(engine.status, model="s3://u:planted-1@b/m")
    with control_socket(tmp_path / "c.sock", engine, host=host, mask=Redactor().value) as path:
        client = ControlClient(path)
        said = [client.status(), client.act("chat", "start")]
        with pytest.raises(VllmdError) as refused:
            client.reload(apply=False)
    assert "planted-1" not in f"{said}{refused.value}"
    assert str(said).count("@b/m") == 2
