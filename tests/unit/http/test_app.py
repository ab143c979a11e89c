import pytest
from starlette.testclient import TestClient

from tests.helpers.clock import FakeClock
from tests.helpers.make import status
from tests.helpers.schema import broken
from tests.helpers.status_scenes import SCENES, Scene
from vllmd.collectors.runner import CollectorRunner
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.http import app
from vllmd.http.metrics_page import MetricsPage


def client_for(*engines: EngineStatus, scene: Scene | None = None) -> TestClient:
    page = MetricsPage(CollectorRunner([], FakeClock()), lambda: [])
    status = (scene or Scene(engines)).service()
    return TestClient(app.build(lambda: engines, page, status))


@pytest.mark.parametrize("state", list(State))
def test_engine_ready_is_green_in_ready_only(state: State) -> None:
    response = client_for(status(state=state)).get("/ready/chat")
    assert response.status_code == (200 if state is State.READY else 503)
    hint = " ('vllmd wake chat' wakes it)" if state is State.SLEEPING else ""
    assert response.text == f"chat: {state}{hint}\n"


def test_engine_that_is_not_ready_says_when_to_come_again() -> None:
    for left_s, seconds in ((None, "2"), (0.3, "2"), (41.2, "42")):
        engine = status(state=State.LOADING, start_left_s=left_s)
        for path in ("/ready/chat", "/-/ready"):
            assert client_for(engine).get(path).headers["retry-after"] == seconds
    assert "retry-after" not in client_for(status()).get("/ready/chat").headers


def test_engine_ready_unknown_is_404() -> None:
    assert client_for(status()).get("/ready/other").status_code == 404
    assert client_for(status()).get("/started/other").status_code == 404


def test_started_is_asked_of_one_engine_or_of_all_that_are_wanted() -> None:
    held, stopped = status("a", state=State.HELD), status("b", state=State.STOPPED, wanted=False)
    loading = status("c", state=State.LOADING, phase="weights")
    client = client_for(held, stopped, loading)
    assert client.get("/-/started").status_code == 503
    assert client.get("/-/started").text == "a: held, not started\nc: loading (weights)\n"
    assert client.get("/started/c").status_code == 200
    assert client_for(stopped, loading).get("/-/started").status_code == 200


def test_ready_needs_every_wanted_engine() -> None:
    one, other = status("a"), status("b", state=State.LOADING)
    assert client_for(one).get("/-/ready").status_code == 200
    assert client_for(one, other).get("/-/ready").status_code == 503
    stopped = status("b", state=State.STOPPED, wanted=False)
    assert client_for(one, stopped).get("/-/ready").status_code == 200


def test_healthy_landing_and_metrics_answer() -> None:
    client = client_for(status())
    assert client.get("/-/healthy").status_code == 200
    assert "vllmd" in client.get("/").text
    response = client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_runbooks_are_served() -> None:
    client = client_for(status())
    assert 'href="/runbooks/VllmdDown"' in client.get("/runbooks/").text
    page = client.get("/runbooks/VllmdDown")
    assert page.headers["content-type"].startswith("text/html")
    assert "<h1>VllmdDown</h1>" in page.text
    gone = client.get("/runbooks/Nothing")
    assert (gone.status_code, gone.text) == (404, "no runbook 'Nothing'; see /runbooks/\n")
    assert '<a href="/runbooks/">' in client.get("/").text


def test_runbook_has_the_engine_that_is_asked_for_or_the_only_one() -> None:
    one, two = client_for(status("chat")), client_for(status("chat"), status("embed"))
    path = "/runbooks/VllmdEngineDown"
    assert "vllmd logs chat" in one.get(path).text
    assert "vllmd logs embed" in two.get(f"{path}?engine=embed").text
    for query in ("", "?engine=nobody", "?engine=<script>"):
        assert "vllmd logs ENGINE" in two.get(path + query).text


def test_status_json_is_the_document_without_what_is_local() -> None:
    client = client_for(scene=SCENES["eight-gpus"]())
    response = client.get("/status.json")
    assert response.headers["content-type"] == "application/json"
    assert broken(response.json(), local=False) == []
    assert "series" not in response.json()
    assert broken(client.get("/status.json?series=1").json(), local=False) == []
    assert "chat" in client.get("/status.json?series").json()["series"]["engines"]


def test_status_json_is_not_sent_again_to_who_has_it() -> None:
    client = client_for(status())
    tag = client.get("/status.json").headers["etag"]
    again = client.get("/status.json", headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = client.get("/status.json", headers={"if-none-match": 'W/"0"'})
    assert other.status_code == 200


@pytest.mark.parametrize("path", ["/", "/status.json"])
def test_status_answers_head_without_a_body(path: str) -> None:
    client = client_for(status())
    response = client.head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == client.get(path).headers["content-type"]
    assert client.post(path).status_code == 405


def test_page_may_load_and_frame_nothing() -> None:
    headers = client_for(status()).get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_page_is_written_once_for_all_who_ask_within_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[object] = []

    def write(document: object, _: bytes) -> str:
        written.append(document)
        return "page"

    monkeypatch.setattr(app, "landing_page", write)
    scene = Scene([status()])
    client = client_for(scene=scene)
    assert {client.get("/").text for _ in range(3)} == {"page"}
    assert len(written) == 1
    scene.clock.now += 2
    client.get("/")
    assert len(written) == 2


def test_metrics_are_packed_for_who_takes_that() -> None:
    client = client_for(status())
    packed = client.get("/metrics", headers={"accept-encoding": "gzip"})
    plain = client.get("/metrics", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert "accept-encoding" in plain.headers["vary"]
    assert len(packed.text.splitlines()) == len(plain.text.splitlines()) > 0


def test_group_page_is_503_until_it_is_known_and_404_where_there_is_none() -> None:
    pages: dict[str, dict[str, object]] = {"big": {"rank": 1}, "early": {}}
    page, status_ = MetricsPage(CollectorRunner([], FakeClock()), lambda: []), Scene(()).service()
    asked = []

    def of(name: str, asked_by: str | None) -> dict[str, object] | None:
        asked.append(asked_by)
        return pages.get(name)

    client = TestClient(app.build(lambda: [], page, status_, groups=of))
    assert client.get("/groups/big").json() == {"rank": 1}
    assert asked == ["testclient"]
    assert client.get("/groups/early").status_code == 503
    assert client.get("/groups/other").status_code == 404
