"""Notifications: to a webhook that is slow to come up, and to a real Alertmanager."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.receiver import receiver
from tests.helpers.servers import running
from tests.helpers.site import Site, wait_for
from tests.integration.conftest import serving
from vllmd.notify.bodies import as_alertmanager_webhook
from vllmd.notify.notices import FAILED, Notice

ALERTMANAGER = """
route: {{ receiver: hook, group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}
receivers: [{{ name: hook, webhook_configs: [{{ url: "{url}", send_resolved: true }}] }}]
"""


@contextmanager
def alertmanager(folder: Path, hook: str) -> Iterator[str]:
    """Run a real Alertmanager that tells `hook`; yield its URL."""
    url = f"http://127.0.0.1:{free_port()}"
    config = folder / "alertmanager.yml"
    config.write_text(ALERTMANAGER.format(url=hook))

    def up() -> bool:
        try:
            return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    with running(
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
        log=folder / "alertmanager.log",
        up=up,
    ):
        yield url


def kill_core(made: Site) -> None:
    before = made.engine("chat")
    os.kill(made.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
    made.wait_new_run("chat", before, 30)


def notify(url: str, format: str) -> str:
    return f'\n[notify]\nwebhook_url = "{url}"\nwebhook_format = "{format}"\n'


def test_alertmanager_takes_a_failure_and_its_end(tmp_path: Path, outcome: Outcome) -> None:
    with (
        receiver() as (hook, bodies),
        alertmanager(tmp_path, hook) as url,
        serving(tmp_path, more=notify(f"{url}/api/v2/alerts", "alertmanager")) as made,
    ):
        kill_core(made)
        wait_for("the end", lambda: len(bodies) >= 2)
        said = " ".join(made.vllmd("why", "chat").stdout.split())
        (alert,) = httpx.get(f"{url}/api/v2/alerts?active=true", trust_env=False).json() or [None]
        assert alert is None  # it is over
    told: list[dict[str, Any]] = [json.loads(body) for body in bodies]
    assert [each["status"] for each in (told[0], told[-1])] == ["firing", "resolved"]
    first = told[0]["alerts"][0]
    assert first["labels"] == {
        "alertname": FAILED,
        "severity": "warning",
        "job": "vllmd",
        "vllmd_engine": "chat",
    }
    why = first["annotations"]["description"].partition("Why: ")[2].partition("\n")[0]
    assert why
    assert why in said  # the same words
    own = as_alertmanager_webhook(Notice(FAILED, True, 1.0, 1.0, "warning", "s", "t", "chat"))
    assert own.keys() == told[0].keys()
    assert own["alerts"][0].keys() == first.keys()
    outcome("a failure, told to a real Alertmanager", "firing, then resolved, with the same words")


@pytest.mark.parametrize("format", ["json", "slack", "alertmanager-webhook"])
def test_webhook_in_every_format(tmp_path: Path, format: str) -> None:
    with (
        receiver() as (hook, bodies),
        serving(tmp_path, more=notify(hook, format)) as made,
    ):
        kill_core(made)
        wait_for("both notices", lambda: len(bodies) == 2)
        assert 'vllmd_notifications_total{outcome="sent"} 2.0' in made.metrics()
    assert all("The part of vLLM that computes" in json.dumps(json.loads(b)) for b in bodies)


def test_webhook_that_hangs_or_is_away_holds_nothing_up(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/secret-path"
    with serving(tmp_path, more=notify(nobody, "json")) as made:
        kill_core(made)
        assert "vllmd_notifications_waiting 2.0" in made.metrics()
        assert made.vllmd("reload").returncode == 0  # what waits is not lost by it
        made.wait_state("chat", "ready")
        assert "vllmd_notifications_waiting 2.0" in made.metrics()
        assert made.stop() == 0
        assert "secret-path" not in made.log()
