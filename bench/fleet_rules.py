"""What all rules cost a Prometheus: CPU seconds a minute at one host, at 100 and at 300.

Each host's page is the one that the dashboards' scene of one GPU and one engine has, about 940
samples whose values stand still; the same pages are scraped without the rules first. Figures are
CPU time of the whole Prometheus, and what it says itself that all groups took last.
Usage: python bench/fleet_rules.py
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.fleet.scenes import begin, one_gpu
from tests.helpers.listening import Handler, ServerOfMany

FOLDER = Path(__file__).parents[1] / "dashboards" / "rules"
BEGIN, STEP_S, STEPS = 1_000_000, 30, 60
CONFIG = """\
global: {{ scrape_interval: 15s, evaluation_interval: 15s }}
rule_files: {rules}
scrape_configs:
  - job_name: vllmd
    file_sd_configs: [{{ files: [{folder}/targets.json] }}]
"""


class Cost(NamedTuple):
    """Of one Prometheus."""

    cpu_s: float
    """A minute."""
    groups_s: float
    """The last evaluations of all groups, summed."""
    longest_s: float


def page() -> str:
    """Return what one host shows after half an hour."""
    scene = one_gpu()
    begin(scene, BEGIN)
    (host,) = scene.hosts
    for number in range(STEPS):
        host.pass_time(BEGIN + STEP_S * number, STEP_S)
    samples = (
        (name.decode(), labels.decode(), value.decode()) for name, labels, value in host.samples()
    )
    return "".join(f"{n}{{{labels}}} {v}\n" if labels else f"{n} {v}\n" for n, labels, v in samples)


class Page(Handler):
    """Answers every path with the same page."""

    protocol_version = "HTTP/1.1"
    content = b""

    def reply(self) -> None:
        """Answer."""
        self.answer(200, self.content, "text/plain; version=0.0.4")


def measure(hosts: int, seconds: float, pages: int, *, rules: bool) -> Cost:
    """Return what so many hosts cost, with the rules or without."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), 19099
        targets = [
            {
                "targets": [f"127.0.0.1:{pages}"],
                "labels": {"__metrics_path__": f"/{n}", "instance": f"gpu{n:03}:9840"},
            }
            for n in range(hosts)
        ]
        (folder / "targets.json").write_text(json.dumps(targets))
        files = [f"{FOLDER}/*.yml"] if rules else []
        (folder / "p.yml").write_text(CONFIG.format(rules=json.dumps(files), folder=folder))
        arguments = [
            f"--config.file={folder}/p.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(["prometheus", *arguments], stdout=log, stderr=log)
        try:
            time.sleep(45)  # names are known, and the first evaluations are over
            before = _cpu_s(process.pid)
            time.sleep(seconds)
            spent = _cpu_s(process.pid) - before
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text
            took = [float(x.split()[-1]) for x in text.splitlines() if x.startswith(_DURATION)]
            return Cost(spent * 60 / seconds, sum(took), max([0.0, *took]))
        finally:
            process.terminate()
            process.wait(120)  # it writes down what it has in memory


_DURATION = "prometheus_rule_group_last_duration_seconds{"


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Measure, and print a line for each number of hosts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--hosts", type=int, nargs="*", default=[1, 100, 300])
    given = parser.parse_args()
    Page.content = page().encode()
    print(f"{Page.content.count(b'{')} samples with labels a page")
    server = ServerOfMany(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for hosts in given.hosts:
        without = measure(hosts, given.seconds, server.server_port, rules=False)
        ruled = measure(hosts, given.seconds, server.server_port, rules=True)
        print(
            f"{hosts} hosts: {without.cpu_s:.2f} CPU s a minute without the rules, "
            f"{ruled.cpu_s:.2f} with them; all groups took {ruled.groups_s:.3f} s, the longest "
            f"{ruled.longest_s * 1000:.0f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
