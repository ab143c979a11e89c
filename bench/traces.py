"""What receiving spans and passing vLLM's page on cost, beside Prometheus' own Python library.

Everything in one run: a whole vllmd as a process, over loopback. Prints two tables.
"""

import asyncio
import http.client
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.otlp import export
from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site
from vllmd.scrape.derived import derive
from vllmd.scrape.families import merge, parse_page
from vllmd.scrape.render import render_openmetrics

PAGE = Path(__file__).parents[1] / "tests" / "data" / "metrics" / "vllm-0.32-cpu.prom"
BATCH = 512
"""What vLLM's exporter sends at once."""
FLOOD_BATCHES = 200
STEADY_S, STEADY_SPANS = 30, 200
HOUR_SPANS = STEADY_SPANS * 3600
SCRAPES = 20

CONFIG = (
    DAEMON
    + """poll_s = 3600
[gpu]
source = "none"
[traces]
listen_http = "127.0.0.1:{otlp}"
listen_grpc = ""
"""
)

ENGINE = """
[engines.e{number}]
model = "m"
executable = ["{python}", "{script}"]
port = {port}
unready_s = 0
autostart = {autostart}
"""


def serve_page(port: int) -> None:
    """Be an engine whose page stands still: what is measured is ours."""
    page = PAGE.read_bytes()
    answers = {b"/metrics": page, b"/health": b"", b"/v1/models": b'{"data":[{"id":"sql"}]}'}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            path = line.split(b" ")[1]
            while await reader.readline() not in (b"\r\n", b""):
                pass
            body = answers.get(path, b"")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def daemon(folder: Path, engines: int, *, autostart: bool = True) -> Iterator[Site]:
    """Run a vllmd with so many engines."""
    exporter, otlp = free_port(), free_port()
    text = CONFIG.format(folder=folder, exporter=exporter, otlp=otlp)
    for number in range(engines):
        text += ENGINE.format(
            number=number,
            python=sys.executable,
            script=Path(__file__).absolute(),
            port=free_port(),
            autostart=str(autostart).lower(),
        )
    folder.mkdir()
    made = Site(folder, text, exporter_port=exporter, api_port=1, otlp_port=otlp)
    made.start()
    try:
        for number in range(engines if autostart else 0):
            made.wait_state(f"e{number}", "ready")
        yield made
    finally:
        made.stop()


def batches(count: int, spans: int = BATCH) -> Iterator[bytes]:
    """Make requests as vLLM does: one resource, spans of 600 bytes, ids that never repeat."""
    request: Any = export(1, engine="e0", state="vllmd=sql")
    listed = request.resource_spans[0].scope_spans[0].spans
    for _ in range(spans - 1):
        listed.add().CopyFrom(listed[0])
    for name, value in (("top_p", 1.0), ("temperature", 0.7), ("max_tokens", 256.0)):
        for span in listed:
            attribute = span.attributes.add()
            attribute.key, attribute.value.double_value = f"gen_ai.request.{name}", value
    for _ in range(count):
        for span in listed:
            span.trace_id, span.span_id = secrets.token_bytes(16), secrets.token_bytes(8)
            span.start_time_unix_nano += 1000
        yield request.SerializeToString()


class Client:
    """One connection that stays, as an exporter's does."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"))

    def post(self, body: bytes) -> None:
        headers = {"content-type": "application/x-protobuf"}
        self._connection.request("POST", "/v1/traces", body, headers)
        response = self._connection.getresponse()
        response.read()
        assert response.status == 200, response.status

    def get(self, path: str) -> int:
        headers = {"accept": "application/openmetrics-text; version=1.0.0"}
        self._connection.request("GET", path, headers=headers)
        return len(self._connection.getresponse().read())


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def cpu_ns(process: psutil.Process) -> int:
    """Return CPU time as the scheduler counts it: a scrape is shorter than a tick."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0])


def spans(folder: Path) -> list[tuple[str, str]]:
    """Measure the receiver; the engine that sends is configured and does not run."""
    rows = []
    with daemon(folder, 1, autostart=False) as made:
        process, client = psutil.Process(made.daemon.pid), Client(made.otlp)
        for body in batches(5):
            client.post(body)
        resident = process.memory_info().rss
        ready = list(batches(FLOOD_BATCHES))
        began, used = time.monotonic(), cpu_s(process)
        for body in ready:
            client.post(body)
        wall, used = time.monotonic() - began, cpu_s(process) - used
        count = FLOOD_BATCHES * BATCH
        rows.append(("spans/s over HTTP, batches of 512, one connection", f"{count / wall:,.0f}"))
        rows.append(("spans per CPU second of the daemon", f"{count / used:,.0f}"))
        used = cpu_s(process)
        for body in batches(STEADY_S, STEADY_SPANS):
            at = time.monotonic()
            client.post(body)
            time.sleep(max(0.0, 1 - (time.monotonic() - at)))
        share = (cpu_s(process) - used) / STEADY_S
        rows.append((f"CPU at {STEADY_SPANS} spans/s", f"{share:.2%} of a core"))
        for body in batches(HOUR_SPANS // BATCH):
            client.post(body)
        grown = (process.memory_info().rss - resident) / 1e6
        rows.append((f"memory after an hour's worth ({HOUR_SPANS:,} spans)", f"{grown:+.1f} MB"))
        name = "vllmd_span_sequences_total"
        total = made.samples(name)["e0",]
        sent = (5 + FLOOD_BATCHES + HOUR_SPANS // BATCH) * BATCH + STEADY_S * STEADY_SPANS
        assert total == sent, (total, sent)
    return rows


class _Parsed:
    """What one would write instead: the page parsed, and rendered by a registry."""

    def __init__(self, pages: list[str]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Any]:
        for page in self._pages:
            yield from text_string_to_metric_families(page)


def scrapes(folder: Path, engines: int) -> list[str]:
    """Measure scrapes of so many engines: ours as seen from outside, the library's in here."""
    with daemon(folder, engines) as made:
        process, client = psutil.Process(made.daemon.pid), Client(made.exporter)
        client.get("/metrics")
        used, fresh, sizes = 0.0, [], []
        for _ in range(SCRAPES):  # a page is kept for a second: each of these fetches anew
            time.sleep(1.05)
            before, began = cpu_ns(process), time.monotonic()
            sizes.append(client.get("/metrics"))
            fresh.append(time.monotonic() - began)
            time.sleep(0.05)
            used += (cpu_ns(process) - before) / 1e9
        assert sizes[0] > engines * 40_000
    registry = CollectorRegistry()
    registry.register(_Parsed([PAGE.read_text()] * engines))
    generate_latest(registry)
    began = time.process_time()
    for _ in range(20):
        generate_latest(registry)
    library = (time.process_time() - began) / 20
    return [
        str(engines),
        f"{statistics.median(sizes) / 1000:.0f} kB",
        f"{statistics.median(fresh) * 1000:.1f} ms",
        f"{used / len(fresh) * 1000:.1f} ms",
        f"{library * 1000:.1f} ms",
    ]


def passing_on() -> dict[str, float]:
    """Measure what passing one page of 52 kB on costs, in this process, in milliseconds."""
    page = PAGE.read_bytes()

    def ours() -> bytes:
        parsed = parse_page(page, "e0")
        return render_openmetrics(
            merge([[*parsed.families, *derive(parsed.families, None, "e0", ())]])
        )

    registry = CollectorRegistry()
    registry.register(_Parsed([page.decode()]))
    taken = {}
    for name, work in (("vllmd", ours), ("library", lambda: generate_latest(registry))):
        work()
        began = time.process_time()
        for _ in range(100):
            work()
        taken[name] = (time.process_time() - began) * 10
    return taken


def main() -> None:
    if "serve" in sys.argv:
        serve_page(int(sys.argv[sys.argv.index("--port") + 1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        print("receiving spans")
        for name, value in spans(Path(folder) / "spans"):
            print(f"  {name:<52} {value:>18}")
        taken = passing_on()
        print(f"\npassing one page of {PAGE.stat().st_size / 1000:.0f} kB on, CPU")
        for name, cost in taken.items():
            print(f"  {name:<52} {cost:>15.2f} ms")
        print("\nscrapes, each of fresh pages; the last column parses and renders the same pages")
        print("with prometheus_client")
        header = ["engines", "page", "latency", "CPU, whole scrape", "prometheus_client"]
        for row in (header, *(scrapes(Path(folder) / f"s{n}", n) for n in (0, 1, 8))):
            print("  " + "".join(f"{cell:>20}" for cell in row))


if __name__ == "__main__":
    main()
