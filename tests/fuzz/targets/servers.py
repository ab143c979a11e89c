"""Bytes on the ports that speak HTTP/1.1: the exporter's, the control socket's, that of spans."""

import os
import socket
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp

from tests.fuzz.target import Target
from tests.fuzz.targets.talking import BrokeError, Talk
from tests.helpers.clock import FakeClock
from tests.helpers.control import FakeAdapters, FakeEngine, control_app
from tests.helpers.make import status
from tests.helpers.otlp import Taken, export, json_of
from tests.helpers.status_scenes import Scene
from vllmd.collectors.runner import CollectorRunner
from vllmd.control.peer import Peer
from vllmd.http import app
from vllmd.http.asgi_server import AsgiServer
from vllmd.http.metrics_page import MetricsPage
from vllmd.http.protocol import HttpProtocol
from vllmd.traces.http import HttpReceiver


class _OfUs(HttpProtocol):
    """As the control socket's, for a connection that is no Unix socket: this process asks."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = Peer(os.getpid(), os.geteuid(), frozenset())
        self.client = (peer, peer.pid)  # type: ignore[assignment]


def _exporter() -> ASGIApp:
    engines = (status(),)
    page = MetricsPage(CollectorRunner([], FakeClock()), lambda: [])
    return app.build(lambda: engines, page, Scene(engines).service(), groups=lambda *_: {"a": 1})


def _control() -> ASGIApp:
    adapters = FakeAdapters({"engine": "chat", "adapters": []})
    return control_app(FakeEngine(), adapters=adapters)


def _spans() -> ASGIApp:
    return HttpReceiver(Taken("tiny").intake)


def _talking(make: Callable[[], ASGIApp], **options: Any) -> Callable[[bytes], None]:
    async def serve(listening: socket.socket) -> AsgiServer:
        server = AsgiServer(make(), **options)
        server.start(listening)
        return server

    talk = Talk(serve)

    def run(data: bytes) -> None:
        came = talk(data)
        if came.startswith(b"HTTP/1.1 500"):
            raise BrokeError(f"it answers {came[:300]!r}")

    return run


def request(method: str, target: str, body: bytes = b"", *headers: str) -> bytes:
    """Write a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: vllmd", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _of_exporter() -> list[bytes]:
    paths: tuple[str, ...] = (
        "/",
        "/metrics",
        "/status.json?series",
        "/-/healthy",
        "/-/ready",
        "/-/started",
    )
    paths += ("/ready/chat", "/started/chat", "/groups/chat", "/runbooks/", "/runbooks/VllmdDown")
    more: tuple[str, ...] = (
        "Accept: application/openmetrics-text",
        "Accept-Encoding: gzip;q=0.5, *;q=0",
    )
    more += ('If-None-Match: "a"', "X-Prometheus-Scrape-Timeout-Seconds: 10")
    every = [request("GET", path, b"", *more) for path in paths]
    chunks = b"POST /wake/chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks += b"2\r\nab\r\n0\r\n\r\n"
    return [*every, b"".join(every), request("POST", "/wake/chat"), chunks]


def _of_control() -> list[bytes]:
    read: tuple[str, ...] = (
        "/v1/status",
        "/v1/status?series",
        "/v1/events?limit=5&after_id=1&names=engine.*",
        "/v1/why",
    )
    read += (
        "/v1/events?since=1&until=2&engine=chat&level=error",
        "/v1/gpu",
        "/v1/lora",
        "/v1/traces",
    )
    read += ("/v1/cost?since=1&until=2&compare=a", "/v1/advise?since=1&until=2&first_token_s=0.5")
    act: tuple[str, ...] = (
        "/v1/reload?apply",
        "/v1/logs/chat/rotate",
        "/v1/gpu/reap",
        "/v1/gpu/release?seconds=5",
    )
    act += (
        "/v1/engines/chat/stop?weights=keep",
        "/v1/engines/chat/sleep?level=1",
        "/v1/probe/chat?record",
    )
    add = request("POST", "/v1/lora/chat/add", b'{"name": "sql", "path": "/a"}')
    every = [
        *(request("GET", each) for each in read),
        *(request("POST", each) for each in act),
        add,
    ]
    return [*every, b"".join(every)]


def _of_spans() -> list[bytes]:
    made = export(1)
    as_json = request("POST", "/v1/traces", json_of(made), "Content-Type: application/json")
    plain = made.SerializeToString()
    kind = "Content-Type: application/x-protobuf"
    as_protobuf = request("POST", "/v1/traces", plain, kind)
    others = request("POST", "/v1/metrics", b"", kind)
    packed = request("POST", "/v1/traces", b"\x1f\x8b", kind, "Content-Encoding: gzip")
    return [as_json, as_protobuf, as_protobuf * 2, others, packed]


SCRAPS = (
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
        b"\r\n0\r\n\r\n",
    ),
    *(
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Upgrade: websocket\r\n",
        b"HTTP/1.0",
    ),
    *(
        b"%00",
        b"%ff",
        b"%2e%2e/",
        b"?",
        b"&",
        b"=",
        b"//",
        b"GET ",
        b"HEAD ",
        b"CONNECT ",
        b"gzip, deflate",
    ),
    *(
        b"since=nan",
        b"limit=-1",
        b"names=" + b"*" * 70,
        b"level=" + b"\xc2\xb2",
        b"after_id=" + b"9" * 30,
    ),
)
TARGETS = (
    Target("http_exporter", _talking(_exporter), _of_exporter, SCRAPS),
    Target("http_control", _talking(_control, protocol=_OfUs), _of_control, SCRAPS),
    Target("http_spans", _talking(_spans), _of_spans, SCRAPS),
)
