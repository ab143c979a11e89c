"""The hub, by a server that answers as it does."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from vllmd.doctor.checks.model import hub
from vllmd.doctor.hub import config_of, problem

STATUS = {"/open/m": 200, "/gated/m": 401, "/none/m": 404, "/ill/m": 503}


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        name = self.path.removesuffix("/resolve/main/config.json")
        allowed = self.headers.get("Authorization") == "Bearer good"
        self.send_response(200 if allowed and name == "/gated/m" else STATUS[name])
        self.end_headers()

    def do_GET(self) -> None:
        name = self.path.removesuffix("/resolve/main/config.json")
        text = {"/open/m": b'{"model_type": "llama"}', "/odd/m": b"[1]", "/long/m": b"x" * 5000}
        self.send_response(200 if name in text else STATUS[name])
        self.end_headers()
        self.wfile.write(text.get(name, b""))

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(
    ("model", "token", "words"),
    [
        ("open/m", "", None),
        ("gated/m", "", "the hub does not give it out: no token was given"),
        ("gated/m", "bad", "the hub does not give it out: the token that was given is not allowed"),
        ("gated/m", "good", None),
        ("none/m", "", "the hub has no such model"),
        ("ill/m", "", "the hub answers 503"),
    ],
)
def test_hub_says_why_not(endpoint: str, model: str, token: str, words: str | None) -> None:
    found = problem(model, {"HF_ENDPOINT": endpoint, "HF_TOKEN": token})
    assert found is None if words is None else (found or "").startswith(words)


@pytest.mark.parametrize("model", ["gated/m", "none/m", "ill/m", "odd/m", "long/m"])
def test_config_is_empty_where_the_hub_does_not_give_one(
    endpoint: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.doctor.hub.MAX_CONFIG_BYTES", 1000)
    assert config_of(model, {"HF_ENDPOINT": endpoint}) == {}
    assert config_of(model, {"HF_ENDPOINT": "http://127.0.0.1:1"}) == {}


def test_config_is_that_of_the_hub(endpoint: str) -> None:
    assert config_of("open/m", {"HF_ENDPOINT": endpoint}) == {"model_type": "llama"}


@pytest.mark.parametrize(
    ("model", "token", "advice", "not_advised"),
    [
        ("none/m", "", "Correct the name; or copy", "hf_token"),
        ("gated/m", "", "hf_token a token that has accepted", "HTTPS_PROXY"),
        ("ill/m", "", "Mend the way there", "hf_token"),
        (None, "", "Mend the way there", "hf_token"),
    ],
)
def test_hub_check_advises_what_helps(
    endpoint: str, model: str | None, token: str, advice: str, not_advised: str
) -> None:
    away = {"HF_ENDPOINT": "http://127.0.0.1:1"}
    env = away if model is None else {"HF_ENDPOINT": endpoint, "HF_TOKEN": token}
    case = SimpleNamespace(engine=SimpleNamespace(model="a/b"), hub=problem(model or "a/b", env))
    (finding,) = hub(case)  # type: ignore[arg-type]
    assert advice in finding.fix
    assert not_advised not in finding.fix


def test_hub_out_of_reach_is_said() -> None:
    assert "cannot be reached" in (problem("a/b", {"HF_ENDPOINT": "http://127.0.0.1:1"}) or "")
    assert "is no address" in (problem("a/b", {"HF_ENDPOINT": "http://a\x00b"}) or "")
