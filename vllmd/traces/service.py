"""Traces as the daemon has them: receivers, engines, forwarding and the slowest requests wired."""

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

import httpx
import structlog

from vllmd.config.command import Commands
from vllmd.config.model import Config
from vllmd.config.secret_values import forward_headers
from vllmd.config.traces import ForwardConfig
from vllmd.errors import ConfigError
from vllmd.events.base import emit
from vllmd.events.traces import ForwardFailed
from vllmd.http.address import bind
from vllmd.http.connections import ConnectionTotals
from vllmd.scrape.families import total
from vllmd.scrape.page import Page
from vllmd.shim.files import parse_json
from vllmd.traces.coverage import Coverage
from vllmd.traces.forward.forwarder import Forwarder
from vllmd.traces.forward.senders import ExportTarget, GrpcSender, HttpSender, SpanSender
from vllmd.traces.intake import Intake, IntakeState
from vllmd.traces.models import Models
from vllmd.traces.port import Port, grpc_server, http_server
from vllmd.traces.slowest import as_event
from vllmd.traces.snapshot import TraceFigures
from vllmd.traces.spans import LOADED, StartSpan
from vllmd.util.clock import Clock
from vllmd.util.parts import Part
from vllmd.util.units import MIB

FINISHED = b"vllm:request_success_total"
MODELS_TIMEOUT_S = 1.0
FLUSH_S = 3.0

_log = structlog.get_logger()


class Resources(Protocol):
    """What the daemon hands over: all of it outlives a configuration."""

    @property
    def traces(self) -> IntakeState:
        """What was counted, and what waits to be passed on."""

    @property
    def totals(self) -> ConnectionTotals:
        """What became of the connections of each listener."""

    @property
    def sockets(self) -> Mapping[str, socket.socket]:
        """Listening sockets that the service manager holds, by name."""


class TraceService:
    """All that the daemon does with spans. `open` before engines start, `close` after they end."""

    def __init__(
        self,
        config: Config,
        resources: Resources,
        commands: Commands,
        client: httpx.AsyncClient,
        clock: Clock,
        started: Callable[[str, StartSpan], None],
    ) -> None:
        self._config = config.traces
        self._resources = resources
        self._state = resources.traces
        self._clock = clock
        self._client = client
        self._coverage: dict[str, Coverage] = {}
        self._started = started
        models = Models(self._list_models, clock)
        self._intake = Intake(config.engines, self._state, models.names, self._note_start, clock)
        self._ports: dict[str, Port] = {}
        self._forwarder: Forwarder | None = None
        self._forwards: object = None
        self._over: list[Port | Forwarder] = []
        self.configure(config, commands)

    def configure(self, config: Config, commands: Commands) -> None:
        """Take over other settings; what was counted, and ports that stay the same, go on."""
        before, self._config = self._config, config.traces
        names = frozenset(config.engines)
        self._engines = {
            name: (engine, commands[name].api_key) for name, engine in config.engines.items()
        }
        self._state.aggregate.retain(names)
        self._state.slowest.keep = self._config.slowest
        self._coverage = {name: self._coverage.get(name) or Coverage() for name in names}
        self._intake.engines = names
        addresses = {"http": "listen_http", "grpc": "listen_grpc"}
        made = {port.protocol: port for port in self._make_ports(self._resources)}
        for protocol, address in addresses.items():
            same = getattr(before, address) == getattr(self._config, address)
            if protocol in self._ports and same:
                made[protocol] = self._ports[protocol]
        self._over += [port for name, port in self._ports.items() if made.get(name) is not port]
        self._ports = made
        self._forward()

    def _forward(self) -> None:
        """Pass spans on as configured: by the sender that does, if nothing about that changed."""
        forward = self._config.forward
        wanted = forward, _secrets(forward)
        if wanted != self._forwards:
            if self._forwarder is not None:
                self._over.append(self._forwarder)
            self._forwarder, self._forwards = self._make_forwarder(forward), wanted

    # --- its life ----------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the ports, as far as they can be had now."""
        for port in self._ports.values():
            await port.open()

    def parts(self) -> Iterator[Part]:
        """Yield what is to run: keep the ports open, end windows, pass spans on."""
        if self._over:
            yield Part("otlp_end", self._close_over, may_end=True)
        for port in self._ports.values():
            keep_open = partial(port.keep_open, self._clock)
            yield Part(f"otlp_{port.protocol}", keep_open, may_end=True)
        yield Part("slow_requests", self._end_windows)
        if self._forwarder is not None:
            yield Part("otlp_forward", self._forwarder.run)

    async def _close_over(self) -> None:
        """Close ports and senders that are not configured any more."""
        while self._over:
            await self._over.pop().close()

    async def close(self, *, flush: bool) -> None:
        """Close the ports; with `flush`, pass on what waits, for a moment."""
        await self._close_over()
        await asyncio.gather(*(port.close() for port in self._ports.values()))
        if self._forwarder is not None:
            if flush:
                await self._forwarder.flush(FLUSH_S)
            await self._forwarder.close()

    def _note_start(self, engine: str, span: StartSpan) -> None:
        if span.name == LOADED:
            spans = self._state.aggregate.spans[engine]
            self._coverage[engine].begin(self._clock.monotonic(), spans)
        self._started(engine, span)

    def page_read(self, engine: str, page: Page) -> None:
        """Compare the spans of an engine with what its page says, which was just read."""
        finished = total(page.families, FINISHED)
        if finished is not None and engine in self._coverage:  # it may be configured no more
            spans = self._state.aggregate.spans[engine]
            self._coverage[engine].note(page.read_at, finished, spans)

    # --- what others ask of it ---------------------------------------------------------------

    def problem(self) -> str | None:
        """Say what keeps spans from being received; None if nothing does."""
        return next((port.problem for port in self._ports.values() if port.problem), None)

    def figures(self) -> TraceFigures:
        """Return all numbers, for the page."""
        state = self._state
        spans = state.aggregate.spans
        coverage = {name: each.ratio(spans[name]) for name, each in self._coverage.items()}
        return TraceFigures(
            state=state,
            ports={protocol: port.up for protocol, port in self._ports.items()},
            coverage={name: ratio for name, ratio in coverage.items() if ratio is not None},
            forward_up=self._forwarder.problem is None if self._forwarder else None,
        )

    def windows(self) -> dict[str, Any]:
        """Return the slowest requests of the window under way and of the last one, as JSON."""
        slowest = self._state.slowest
        current, last = slowest.current(), slowest.last
        return {
            "window_s": self._config.window_s,
            "problem": self.problem(),
            "current": current.to_json() if current else None,
            "last": last.to_json() if last else None,
        }

    # --- parts -------------------------------------------------------------------------------

    def _make_ports(self, resources: Resources) -> Iterator[Port]:
        for protocol, address, serve in (
            ("http", self._config.listen_http, http_server),
            ("grpc", self._config.listen_grpc, grpc_server),
        ):
            run = partial(serve, self._intake, resources.totals)
            held = resources.sockets.get(f"otlp-{protocol}")
            if held is not None:
                yield Port(protocol, held.dup, run)
            elif address is not None:
                yield Port(protocol, partial(bind, address, f"traces.listen_{protocol}"), run)

    def _make_forwarder(self, forward: ForwardConfig) -> Forwarder | None:
        state, queue = self._state, self._state.queue
        queue.wanted = forward.endpoint is not None
        if forward.endpoint is None:
            queue.clear()
            return None
        queue.max_bytes = forward.queue_mb * MIB
        try:
            target = ExportTarget(
                forward.endpoint,
                forward_headers(forward),
                forward.timeout_s,
                tls_of(forward),
                state.instance,
            )
        except ConfigError as error:
            queue.wanted = False
            emit(
                _log,
                ForwardFailed(problem=str(error), consequence="none is passed on"),
                level="error",
            )
            return None
        sender: SpanSender = (
            GrpcSender(target) if forward.protocol == "grpc" else HttpSender(target)
        )
        return Forwarder(queue, sender, self._clock, random.random)

    async def _end_windows(self) -> None:
        begun = self._intake.begun
        if self._state.slowest.begun:
            begun.set()
        while True:
            await begun.wait()
            await self._clock.sleep(self._config.window_s)
            begun.clear()
            window = self._state.slowest.end(self._clock.time())
            for request, ranks in window.distinct() if window else ():
                emit(_log, as_event(request, ranks), engine=request.engine)

    async def _list_models(self, name: str) -> frozenset[str] | None:
        if name not in self._engines:
            return None
        engine, key = self._engines[name]
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            async with asyncio.timeout(MODELS_TIMEOUT_S):
                response = await self._client.get(f"{engine.url}/v1/models", headers=headers)
            return frozenset(
                str(model["id"]) for model in parse_json(response.raise_for_status().text)["data"]
            )
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
            return None


def _secrets(forward: ForwardConfig) -> object:
    """Return what the files that it names hold now; what cannot be read is said by who sends."""
    try:
        return forward_headers(forward)
    except ConfigError as error:
        return str(error)


def tls_of(forward: ForwardConfig) -> ssl.SSLContext | None:
    """Return how to speak TLS; None where the endpoint does not.

    Raises: ConfigError: a file of certificates or keys cannot be used.
    """
    if not (forward.endpoint or "").startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=forward.ca_file)
        if forward.client_certificate_file:
            # without a password, an encrypted key would be asked for on a terminal
            context.load_cert_chain(
                forward.client_certificate_file, forward.client_key_file, password=""
            )
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"traces.forward: the certificates cannot be used: {error}; fix ca_file, "
            "client_certificate_file or client_key_file"
        ) from None
    if forward.protocol == "grpc":
        context.set_alpn_protocols(["h2"])
    return context
