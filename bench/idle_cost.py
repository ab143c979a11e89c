"""What vllmd costs beside an engine, and beside supervisord, which one would run instead.

Both keep the same stand-in engine for the same time, one after the other in one run; vllmd is also
scraped, as Prometheus would, and supervisord cannot be. Prints one table.
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.ports import free_port
from tests.helpers.site import Site, site, wait_for
from tests.integration.conftest import config_for

WATCH_S = 60.0
SCRAPE_EVERY_S = 15.0
SCRAPES = 200

SUPERVISORD = """
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[program:engine]
command={python} -m vllmd.demo serve m --port {port}
redirect_stderr=true
stdout_logfile={folder}/engine.log
stopasgroup=true
killasgroup=true
"""


def voluntary_switches(task: Path) -> int:
    """Return how often a thread waited for something. Source: proc(5), status."""
    text = (task / "status").read_text()
    return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def cost(pids: list[int], scrape: str | None) -> tuple[float, float, float]:
    """Return CPU seconds a minute, MB (PSS), and context switches a second of processes.

    The switches are those of all threads.
    """
    processes = [psutil.Process(pid) for pid in pids]

    def read() -> tuple[float, int]:
        tasks = [task for p in processes for task in Path(f"/proc/{p.pid}/task").iterdir()]
        used = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        return used, sum(voluntary_switches(task) for task in tasks)

    cpu, wakes = read()
    end = time.monotonic() + WATCH_S
    while time.monotonic() < end:
        if scrape:
            httpx.get(scrape, trust_env=False)
        time.sleep(SCRAPE_EVERY_S)
    cpu_after, wakes_after = read()
    resident = sum(p.memory_full_info().pss for p in processes) / 1e6
    return (cpu_after - cpu) * 60 / WATCH_S, resident, (wakes_after - wakes) / WATCH_S


@contextlib.contextmanager
def supervisord(folder: Path, port: int) -> Iterator[int]:
    """Run the stand-in under supervisord."""
    config = folder / "supervisord.conf"
    config.write_text(SUPERVISORD.format(folder=folder, python=sys.executable, port=port))
    program = Path(sys.executable).with_name("supervisord")
    process = subprocess.Popen([str(program), "-c", str(config)], stdout=subprocess.DEVNULL)

    def healthy() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success
        return False

    wait_for("the engine under supervisord", healthy)
    yield process.pid
    process.terminate()
    process.wait(30)


def scrape_ratio(made: Site) -> tuple[float, float]:
    """Return the median seconds of our page and of the engine's own, asked in turns."""
    ours: list[float] = []
    theirs: list[float] = []
    with httpx.Client(trust_env=False) as client:
        for _ in range(SCRAPES):
            for url, times in ((made.api, theirs), (made.exporter, ours)):
                started = time.perf_counter()
                client.get(f"{url}/metrics").raise_for_status()
                times.append(time.perf_counter() - started)
    return statistics.median(ours), statistics.median(theirs)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="vllmd-bench-") as name:
        folder = Path(name)
        exporter, api = free_port(), free_port()
        config = config_for(folder, exporter, api).replace("poll_s = 0.5", "poll_s = 5")
        with site(folder, config, exporter_port=exporter, api_port=api) as made:
            engine = made.wait_state("chat", "ready")
            scrape = f"{made.exporter}/metrics"
            daemon = cost([made.daemon.pid], scrape)
            shim = cost([engine["shim_pid"]], None)
            ours, theirs = scrape_ratio(made)
        with supervisord(folder, free_port()) as pid:
            rival = cost([pid], None)
    print(f"{'':28} CPU s/min     MB (PSS)  wake-ups/s")
    for title, row in (
        ("vllmd daemon, scraped", daemon),
        ("vllmd shim", shim),
        ("supervisord, not scraped", rival),
    ):
        print(f"{title:28} {row[0]:9.3f}  {row[1]:11.1f}  {row[2]:10.2f}")
    print(f"\nscrape: ours {ours * 1e3:.1f} ms, the engine's own {theirs * 1e3:.1f} ms,", end=" ")
    print(f"ratio {ours / theirs:.2f} (pages of a second's age are served again)")


if __name__ == "__main__":
    main()
