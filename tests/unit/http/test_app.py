import pytest
from starlette.testclient import TestClient

from tests.helpers.clock import FakeClock
from tests.helpers.make import status
from vllmd.collectors.runner import CollectorRunner
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.http import app
from vllmd.http.metrics_page import MetricsPage


def client_for(*engines: EngineStatus) -> TestClient:
    page = MetricsPage(CollectorRunner([], FakeClock()), lambda: [])
    return TestClient(app.build(lambda: engines, page))


@pytest.mark.parametrize("state", list(State))
def test_engine_ready_is_green_in_ready_only(state: State) -> None:
    response = client_for(status(state=state)).get("/ready/chat")
    assert response.status_code == (200 if state is State.READY else 503)
    assert response.text == f"chat: {state}\n"


def test_engine_that_is_not_ready_says_when_to_come_again() -> None:
    for left_s, seconds in ((None, "2"), (0.3, "2"), (41.2, "42")):
        engine = status(state=State.LOADING, start_left_s=left_s)
        for path in ("/ready/chat", "/-/ready"):
            assert client_for(engine).get(path).headers["retry-after"] == seconds
    assert "retry-after" not in client_for(status()).get("/ready/chat").headers


def test_engine_ready_unknown_is_404() -> None:
    assert client_for(status()).get("/ready/other").status_code == 404


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
