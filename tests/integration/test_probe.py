"""Whether answers are right, with the stand-in: what wrong ones do, over deaths of the daemon."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, site, wait_for

ENGINE = """poll_s = 0.3

[engines.chat]
model = "stand-in/tiny"
served_model_name = "tiny"
executable = "stand-in"
port = {api}
unready_s = 0
drain_s = 2
stop_grace_s = 5
restart = {{ initial_s = 0.1, max_s = 1 }}

[engines.chat.probe]
on_mismatch = "drain"

[engines.chat.sleep]
after_idle_s = 3600

[engines.chat.env]
VLLMD_STAND_IN_LOAD_S = "0.2"
VLLMD_STAND_IN_GARBAGE = "{folder}/garbage"
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("probe")
    exporter, api = free_port(), free_port()
    text = (DAEMON + ENGINE).format(folder=folder, exporter=exporter, api=api)
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        made.wait_state("chat", "ready")
        wait_verdict(made, "right")
        yield made


def wait_verdict(host: Site, verdict: str) -> dict[str, Any]:
    def ask() -> dict[str, Any] | None:
        found: dict[str, Any] = host.engine("chat")["probe"]
        return found if found["verdict"] == verdict else None

    return wait_for(f"answers {verdict}", ask, 30)


def probe(host: Site, *options: str) -> dict[str, Any]:
    said = host.vllmd("probe", "--json", *options)
    assert said.returncode in (0, 1), said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def events(host: Site, name: str) -> list[dict[str, Any]]:
    said = host.vllmd("events", "--json", "-c", str(host.config), "chat").stdout
    found = [json.loads(line) for line in said.splitlines()]
    return [each["fields"] for each in found if each["name"] == name]


@pytest.fixture
def garbage(host: Site) -> Iterator[Path]:
    """The engine answers garbage to the end of the test."""
    flag = host.folder / "garbage"
    flag.touch()
    yield flag
    flag.unlink(missing_ok=True)
    assert probe(host)["verdict"] == "right"


def test_probes_are_no_traffic(host: Site) -> None:
    """They are on vLLM's page, and nowhere in what vllmd makes of it but while one is counted."""
    before = host.engine("chat")
    assert probe(host)["verdict"] == "right"
    page = httpx.get(f"{host.api}/metrics", trust_env=False).text
    (counted,) = [ln for ln in page.splitlines() if ln.startswith("vllm:prompt_tokens_total{")]
    assert float(counted.split()[-1]) > 200
    wait_for("a page without it", lambda: host.engine("chat")["requests_running"] == 0)
    assert host.engine("chat")["run_id"] == before["run_id"]

    def idle_goes_on() -> bool:
        return bool(host.engine("chat")["sleep"]["idle_s"] > before["sleep"]["idle_s"])

    wait_for("idle time goes on", idle_goes_on)


def test_wrong_answers_turn_red_and_outlive_the_daemon(
    host: Site, garbage: Path, outcome: Outcome
) -> None:
    assert host.ready("chat") == 200
    found = probe(host)
    assert found["verdict"] == "wrong"
    assert found["expected"] != found["given"]
    assert host.ready("chat") == 503
    (told,) = events(host, "probe.wrong")
    assert (told["cause"], told["asked_for"]) == ("wrong_answers", "asked for")
    assert "vllmd probe chat --record" in told["advice"]
    run = host.engine("chat")["run_id"]
    host.kill_daemon()
    host.start()
    host.wait_state("chat", "ready")
    assert host.ready("chat") == 503, "from the first answer on"
    assert host.engine("chat")["run_id"] == run, "it serves on"
    wait_verdict(host, "wrong")
    garbage.unlink()
    assert probe(host)["verdict"] == "right"
    assert host.ready("chat") == 200
    outcome("answers that become garbage", "/ready red, alert VllmdWrongAnswers; the engine stays")


def test_answers_that_are_meant_to_be_others_are_recorded(host: Site, garbage: Path) -> None:
    assert probe(host)["verdict"] == "wrong"
    assert probe(host, "--record")["verdict"] == "right"
    assert host.ready("chat") == 200
    garbage.unlink()
    assert probe(host, "--record")["verdict"] == "right"


def test_restart_is_made_once_for_wrong_answers(
    host: Site, garbage: Path, outcome: Outcome
) -> None:
    text = host.config.read_text()
    host.config.write_text(text.replace('"drain"', '"restart"'))
    try:
        assert host.vllmd("reload").returncode == 0
        before = host.engine("chat")
        assert probe(host)["verdict"] == "wrong"
        host.wait_new_run("chat", before, 30)
        host.wait_state("chat", "ready")
        again = wait_verdict(host, "wrong")
        assert again["on_mismatch"] == "restart"
        found = host.engine("chat")
        assert found["last_exit"]["diagnosis"]["cause"] == "wrong_answers"
        assert found["restarts"] == before["restarts"] + 1
        assert host.ready("chat") == 503
        assert events(host, "probe.wrong")[-1]["consequence"].endswith("a start has not helped")
        assert "wrong answers" in host.vllmd("why", "chat").stdout
        outcome("answers that stay garbage, on_mismatch = restart", "one start, then /ready red")
    finally:
        host.config.write_text(text)
        host.vllmd("reload")
