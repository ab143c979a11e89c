"""What the rules above hosts cost a Prometheus: CPU seconds a minute at 100 and 300 hosts.

Each host's page has what these rules read, of one engine; the same pages are scraped without the
rules first. Figures are CPU time of the whole Prometheus, so a busy machine changes them little.
"""

import argparse
import http.server
import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import httpx

RULES = ("records-replicas.yml", "alerts-fleet.yml")
FOLDER = Path(__file__).parents[1] / "dashboards" / "rules"
PAGE = """\
vllmd_engine_up{vllmd_engine="chat"} 1
vllmd_engine_wanted{vllmd_engine="chat"} 1
vllmd_engine_info{vllmd_engine="chat",model="m",version="0.32.0",command_hash="a",fleet="prod"} 1
vllmd_fleet_min_ready{fleet="prod"} 2
"""
CONFIG = """\
global: {{ scrape_interval: 15s, evaluation_interval: 15s }}
rule_files: {rules}
scrape_configs:
  - job_name: vllmd
    file_sd_configs: [{{ files: [{folder}/targets.json] }}]
"""


class Page(http.server.BaseHTTPRequestHandler):
    """Answers every path with the same page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def measure(hosts: int, seconds: float, pages: int, *, rules: bool) -> tuple[float, float]:
    """Return the CPU seconds of a minute, and the longest evaluation of a group in seconds."""
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
        files = [str(FOLDER / each) for each in RULES] if rules else []
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
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            lines = [x for x in text.splitlines() if x.startswith(_DURATION)]
            return spent * 60 / seconds, max([0.0, *(float(x.split()[-1]) for x in lines)])
        finally:
            process.terminate()
            process.wait(30)


_DURATION = "prometheus_rule_group_last_duration_seconds{"


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    """Measure, and print a line for each number of hosts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--hosts", type=int, nargs="*", default=[100, 300])
    given = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for hosts in given.hosts:
        without, _ = measure(hosts, given.seconds, server.server_port, rules=False)
        with_rules, longest = measure(hosts, given.seconds, server.server_port, rules=True)
        print(
            f"{hosts} hosts: {without:.2f} CPU s a minute without the rules, {with_rules:.2f} with "
            f"them; the longer group took {longest * 1000:.0f} ms"
        )


if __name__ == "__main__":
    main()
