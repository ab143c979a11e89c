"""A real Prometheus that scrapes one page, and what it stored."""

import re
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from tests.helpers.ports import free_port
from tests.helpers.servers import running
from tests.helpers.site import wait_for

CONFIG = """
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
scrape_configs:
"""
JOB = """\
  - job_name: {name}
    static_configs: [{{ targets: ["{target}"] }}]
{more}
"""
RULES = """
rule_files: [{folders}]
"""


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def _get(self, path: str, **params: str | float) -> Any:
        try:
            response = httpx.get(f"{self.url}{path}", params=params, trust_env=False)
        except httpx.TransportError:
            return None
        return response.json()["data"] if response.status_code == 200 else None

    def query(self, query: str) -> list[dict[str, Any]]:
        data = self._get("/api/v1/query", query=query)
        return data["result"] if data else []

    def value(self, query: str) -> float | None:
        result = self.query(query)
        return float(result[0]["value"][1]) if result else None

    def history(self, query: str, start: float, end: float) -> list[tuple[float, float]]:
        """Return (time, value) of one series, a second apart; gaps are left out."""
        data = self._get("/api/v1/query_range", query=query, start=start, end=end, step=1)
        result = data["result"] if data else []
        return [(at, float(value)) for at, value in result[0]["values"]] if result else []

    def exemplars(self, query: str) -> list[dict[str, Any]]:
        """Return the exemplars of the last hour, of all series."""
        now = time.time()
        data = self._get("/api/v1/query_exemplars", query=query, start=now - 3600, end=now + 60)
        return [each for series in data or () for each in series["exemplars"]]

    def wait_scrapes(self, more: int = 2) -> None:
        """Wait until so many more scrapes are stored."""
        query = "count_over_time(up[1h])"
        before = self.value(query) or 0
        wait_for("scrapes", lambda: (self.value(query) or 0) >= before + more)

    def target_error(self) -> str:
        (error,) = self.target_errors().values()
        return error

    def target_errors(self) -> dict[str, str]:
        """Return why each job could not scrape its target when it last tried; empty if it could."""
        targets = self._get("/api/v1/targets")["activeTargets"]
        return {each["labels"]["job"]: str(each["lastError"]) for each in targets}


@contextmanager
def prometheus(
    folder: Path,
    target: str,
    rules: Sequence[Path] = (),
    jobs: Mapping[str, str] = MappingProxyType({"vllmd": ""}),
) -> Iterator[Prometheus]:
    """Run Prometheus against `target` (host:port), with the rules of these folders.

    Rules are evaluated every second, whatever they say of themselves. A job's value is YAML that it
    has besides its target.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    text = CONFIG + "".join(
        JOB.format(name=name, target=target, more=textwrap.indent(textwrap.dedent(more), "    "))
        for name, more in jobs.items()
    )
    for each in rules:
        fast = folder / each.name
        fast.mkdir()
        for path in each.glob("*.yml"):
            fresh = re.sub(r"(?m)^    interval: \w+$", "    interval: 1s", path.read_text())
            (fast / path.name).write_text(fresh)
    if rules:
        text += RULES.format(folders=", ".join(f'"{folder}/{each.name}/*.yml"' for each in rules))
    config.write_text(text)
    address = f"127.0.0.1:{free_port()}"
    made = Prometheus(f"http://{address}")
    with running(
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
        log=folder / "prometheus.log",
        up=lambda: made.query("vector(1)"),
    ):
        made.wait_scrapes(1)
        yield made
