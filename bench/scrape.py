"""What a whole scrape costs: CPU milliseconds of the daemon, with one engine and with eight.

Whole: the engines' pages are fetched, read, and the daemon's page is written and sent. The rival is
the process that makes an engine's page: the CPU time of its own answer, by the stand-in, and that
of `httpx` alone, which fetches a page and does nothing with it. Prints medians of five rounds.
Usage: python bench/scrape.py
"""

import gzip
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.ports import free_port
from tests.helpers.site import Site, site
from tests.integration.conftest import config_for

ROUNDS, SCRAPES, APART_S = 5, 8, 1.1
"""A page that is younger than a second is not fetched again."""
ENGINES = (1, 8)


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of its threads, to the nanosecond. Source: proc(5), schedstat."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def of(process: psutil.Process, url: str | None) -> float:
    """Return the CPU seconds of a process while its page is asked for, or while nobody asks."""
    began = cpu_s(process)
    with httpx.Client(trust_env=False) as client:
        for _ in range(SCRAPES):
            if url is not None:
                client.get(f"{url}/metrics").raise_for_status()
            time.sleep(APART_S)
    return cpu_s(process) - began


def configured(folder: Path, exporter: int, count: int) -> tuple[str, list[int]]:
    """Return a configuration of so many engines, and their ports."""
    first = free_port()
    text = config_for(folder, exporter, first).replace("poll_s = 0.5", "poll_s = 5")
    head, table, engine = text.partition("[engines.chat]")
    ports = [first]
    for number in range(1, count):
        ports.append(free_port())
        more = (table + engine).replace("engines.chat", f"engines.chat{number}")
        head += more.replace(str(first), str(ports[-1])) + "\n"
    return head + table + engine, ports


def measure(made: Site) -> tuple[float, float]:
    """Return the median CPU milliseconds of a scrape, what the daemon does at rest taken off."""
    daemon = psutil.Process(made.daemon.pid)
    rounds = []
    for _ in range(ROUNDS):
        rest = of(daemon, None)
        rounds.append((of(daemon, made.exporter) - rest) / SCRAPES * 1000)
    with httpx.Client(trust_env=False) as client:
        client.get(f"{made.api}/metrics")
        began = time.process_time()
        for _ in range(200):
            client.get(f"{made.api}/metrics")
        fetch = (time.process_time() - began) / 200 * 1000
    return statistics.median(rounds), fetch


def main() -> None:
    """Measure and print."""
    print(f"{'engines':>8}{'CPU ms':>8}{'a bare fetch':>14}{'page kB':>9}{'gzip kB':>9}")
    for count in ENGINES:
        with tempfile.TemporaryDirectory(prefix="vllmd-bench-") as name:
            folder = Path(name)
            exporter = free_port()
            config, ports = configured(folder, exporter, count)
            with site(folder, config, exporter_port=exporter, api_port=ports[0]) as made:
                for number in range(count):
                    made.wait_state("chat" + (str(number) if number else ""), "ready")
                ms, fetch = measure(made)
                page = httpx.get(f"{made.exporter}/metrics", trust_env=False).content
        sizes = len(page) / 1000, len(gzip.compress(page)) / 1000
        print(f"{count:8}{ms:8.1f}{fetch:14.1f}{sizes[0]:9.0f}{sizes[1]:9.0f}", flush=True)


if __name__ == "__main__":
    main()
