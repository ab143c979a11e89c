"""The page as a real Prometheus reads it, and as promtool judges it."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.listening import Handler, listening
from tests.helpers.ports import free_port
from tests.helpers.prometheus import prometheus
from tests.helpers.site import Site, needs, site, wait_for
from tests.integration.conftest import config_for, serving
from tools.reference import page_scene

ODD_NAME = 'mo"del \\ {Ünï},= 模型 🎈'
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def test_prometheus_stores_the_page_of_two_engines(tmp_path: Path) -> None:
    exporter, api, other = free_port(), free_port(), free_port()
    config = config_for(tmp_path, exporter, api)
    name = ODD_NAME.replace("\\", "\\\\").replace('"', '\\"')
    config += f"""
[engines.odd]
model = "org/other"
served_model_name = "{name}"
executable = "stand-in"
port = {other}
"""
    with site(tmp_path, config, exporter_port=exporter, api_port=api) as made:
        made.wait_state("chat", "ready")
        made.wait_state("odd", "ready")
        made.chat("tiny", tokens=5)
        with prometheus(tmp_path / "prometheus", f"127.0.0.1:{exporter}") as stored:
            stored.wait_scrapes(2)
            assert stored.target_error() == ""
            assert stored.value('vllmd_engine_up{vllmd_engine="chat"}') == 1
            tokens = 'vllm:generation_tokens_total{vllmd_engine="chat",model_name="tiny"}'
            assert stored.value(tokens) == 5
            (odd,) = stored.query('vllm:num_requests_running{vllmd_engine="odd"}')
            assert odd["metric"]["model_name"] == ODD_NAME
            assert odd["metric"]["engine"] == "0"
            assert stored.value("vllmd_build_info") == 1
            assert stored.value("process_resident_memory_bytes") is not None
            assert stored.value('vllmd_engine_processes{vllmd_engine="chat"}') == 2
            assert (stored.value('vllmd_engine_cpu_seconds_total{vllmd_engine="chat"}') or 0) > 0


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_both_formats_are_taken_by_prometheus(chat: Site, tmp_path: Path, accept: str) -> None:
    """Prometheus prefers OpenMetrics; a file server in between makes it take either."""
    page = chat.metrics(accept)
    kind = OPENMETRICS if accept else "text/plain; version=0.0.4"

    class Scraped(Handler):
        def reply(self) -> None:
            self.answer(200, page.encode(), kind)

    with (
        listening(Scraped) as url,
        prometheus(tmp_path / "p", url.removeprefix("http://")) as stored,
    ):
        assert stored.target_error() == ""
        assert stored.value("vllmd_engine_up") == 1
        assert stored.value("vllm:num_requests_running") == 0


def test_every_family_of_ours_is_in_the_reference_as_it_is(chat: Site) -> None:
    known = {
        family.name.removesuffix("_total"): family
        for found in page_scene.families().values()
        for family in found
    }
    seen = [
        each
        for each in text_string_to_metric_families(chat.metrics())
        if each.name.startswith("vllmd_")
    ]
    assert len(seen) > 80
    for family in seen:
        told = known[family.name]
        assert family.type == told.type, family.name
        assert family.documentation == told.help, family.name
        labels = {name for sample in family.samples for name in sample.labels}
        assert labels - {"le"} <= set(told.labels), family.name


def test_promtool_has_nothing_against_our_own_families(chat: Site) -> None:
    needs("promtool")
    result = subprocess.run(
        ["promtool", "check", "metrics"],
        input=chat.metrics(),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (result.stdout + result.stderr).splitlines()
    assert not [line for line in lines if line.startswith(("vllmd_", "process_", "error"))], lines
    assert all(line.startswith("vllm:") for line in lines)


def test_families_are_absent_while_the_engine_is_away(chat: Site) -> None:
    assert "vllm:num_requests_running{" in chat.metrics()
    chat.vllmd("stop", "chat")
    page = chat.metrics()
    assert "vllm:" not in page
    assert 'vllmd_engine_up{vllmd_engine="chat"} 0.0' in page
    assert 'vllmd_engine_page_up{vllmd_engine="chat"} 0.0' in page
    assert 'vllmd_engine_page_age_seconds{vllmd_engine="chat"}' not in page
    assert 'vllmd_engine_uptime_seconds{vllmd_engine="chat"}' not in page


def test_scrape_of_a_frozen_engine_keeps_its_deadline_and_our_own_families(tmp_path: Path) -> None:
    with serving(tmp_path, stall_s=600, hang_s=600) as made:
        server = made.engine("chat")["pid"]
        os.kill(server, signal.SIGSTOP)
        try:
            time.sleep(1.1)
            headers = {"x-prometheus-scrape-timeout-seconds": "2"}
            response = httpx.get(
                f"{made.exporter}/metrics", headers=headers, timeout=2, trust_env=False
            )
            assert "vllm:" not in response.text
            assert "vllmd_engine_state" in response.text
            made.wait_state("chat", "unreachable")
            assert made.ready("chat") == 503
        finally:
            os.kill(server, signal.SIGCONT)
        made.wait_state("chat", "ready")
        assert made.engine("chat")["restarts"] == 0


def test_concurrent_scrapes_all_get_a_fresh_page(chat: Site) -> None:
    time.sleep(1.1)
    pages: list[str] = []
    threads = [threading.Thread(target=lambda: pages.append(chat.metrics())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name = 'vllmd_engine_page_age_seconds{vllmd_engine="chat"} '
    assert len(pages) == 20
    for page in pages:
        (line,) = [line for line in page.splitlines() if line.startswith(name)]
        assert float(line.removeprefix(name)) <= 2.0


def test_readiness_follows_a_crash(chat: Site) -> None:
    assert chat.ready("chat") == 200
    os.kill(chat.engine("chat")["pid"], signal.SIGKILL)
    wait_for("red", lambda: chat.ready("chat") == 503, 10)
    wait_for("green", lambda: chat.ready("chat") == 200, 30)
