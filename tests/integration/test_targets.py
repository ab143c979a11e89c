"""The targets that `vllmd fleet export prometheus` writes, as a real Prometheus takes them."""

import json
from pathlib import Path

import httpx
import pytest

from tests.helpers.listening import Handler, listening
from tests.helpers.ports import free_port
from tests.helpers.servers import running
from tests.helpers.site import needs, wait_for
from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.fleet.exports.prometheus import TARGETS, files

HOSTS = (FleetHost("127.0.0.1", 1), FleetHost("localhost", 1))


class Targets(Handler):
    """Any web server that has the file; Prometheus wants this type."""

    content = b""

    def reply(self) -> None:
        self.answer(200, self.content, "application/json")


@pytest.mark.parametrize("kind", ["file_sd_configs", "http_sd_configs"])
def test_prometheus_finds_the_hosts_of_a_fleet(tmp_path: Path, kind: str) -> None:
    needs("prometheus")
    made = files(FleetConfig(name="prod", hosts=HOSTS), HOSTS)[TARGETS]
    (tmp_path / TARGETS).write_text(made)
    Targets.content = made.encode()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with listening(Targets) as served:
        place = {"files": [f"{tmp_path}/{TARGETS}"]} if "file" in kind else {"url": served}
        config = {"scrape_configs": [{"job_name": "vllmd", kind: [place]}]}
        path = tmp_path / "prometheus.yml"
        path.write_text(json.dumps(config))  # JSON is YAML

        def active() -> list[dict[str, dict[str, str]]]:
            try:
                found = httpx.get(f"{url}/api/v1/targets", trust_env=False).json()
            except httpx.TransportError:
                return []
            return list(found["data"]["activeTargets"])

        arguments = [f"--config.file={path}", f"--storage.tsdb.path={tmp_path}/data"]
        arguments += [f"--web.listen-address=127.0.0.1:{port}"]
        with running("prometheus", *arguments, log=tmp_path / "log", up=lambda: True):
            wait_for("two targets", lambda: len(active()) == 2, 30)
            labels = [each["labels"] for each in active()]
    assert {each["instance"] for each in labels} == {"127.0.0.1:1", "localhost:1"}
    assert {each["fleet"] for each in labels} == {"prod"}
