"""Traces as the daemon has them: receivers, engines, forwarding and the slowest requests wired."""

import asyncio
import random
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import structlog

from vllmd import events, premises
from vllmd.clock import Clock
from vllmd.config.command import Commands
from vllmd.config.model import Config
from vllmd.config.secrets import forward_headers
from vllmd.config.traces import Forward
from vllmd.errors import ConfigError
from vllmd.parts import Part
from vllmd.scrape.families import total
from vllmd.scrape.page import Page
from vllmd.shim.files import parse_json
from vllmd.surroundings import Surroundings
from vllmd.traces.coverage import Coverage
from vllmd.traces.figures import TraceFigures
from vllmd.traces.forward.forwarder import Forwarder
from vllmd.traces.forward.senders import GrpcSender, HttpSender, Sender, Target
from vllmd.traces.intake import Intake
from vllmd.traces.models import Models
from vllmd.traces.port import Port, grpc_server, http_server
from vllmd.traces.slowest import describe
from vllmd.traces.spans import LOADED, StartSpan
from vllmd.units import MIB

FINISHED = b"vllm:request_success_total"
MODELS_TIMEOUT_S = 1.0
FLUSH_S = 3.0

_log = structlog.get_logger()


class Tracing:
    """All that the daemon does with spans. `open` before engines start, `close` after they end."""

    def __init__(
        self,
        config: Config,
        surroundings: Surroundings,
        commands: Commands,
        client: httpx.AsyncClient,
        clock: Clock,
        started: Callable[[str, StartSpan], None],
    ) -> None:
        self._config = config.traces
        self._kept = kept = surroundings.traces
        self._clock = clock
        self._client = client
        self._engines = {
            name: (engine, commands[name].api_key) for name, engine in config.engines.items()
        }
        kept.aggregate.retain(frozenset(config.engines))
        kept.slowest.keep = self._config.slowest
        self._coverage = {name: Coverage() for name in config.engines}
        models = Models(self._list_models, clock)
        self._started = started
        self._intake = Intake(config.engines, kept, models.names, self._note_start, clock)
        self._ports = list(self._make_ports(surroundings))
        self._forwarder = self._make_forwarder(self._config.forward)

    # --- its life ----------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the ports, as far as they can be had now."""
        for port in self._ports:
            await port.open()

    def parts(self) -> Iterator[Part]:
        """Yield what is to run: keep the ports open, end windows, pass spans on."""
        for port in self._ports:
            keep_open = partial(port.keep_open, self._clock)
            yield Part(f"otlp_{port.protocol}", keep_open, may_end=True)
        yield Part("slow_requests", self._end_windows)
        if self._forwarder is not None:
            yield Part("otlp_forward", self._forwarder.run)

    async def close(self, *, flush: bool) -> None:
        """Close the ports; with `flush`, pass on what waits, for a moment."""
        await asyncio.gather(*(port.close() for port in self._ports))
        if self._forwarder is not None:
            if flush:
                await self._forwarder.flush(FLUSH_S)
            await self._forwarder.close()

    def _note_start(self, engine: str, span: StartSpan) -> None:
        if span.name == LOADED:
            spans = self._kept.aggregate.spans[engine]
            self._coverage[engine].begin(self._clock.monotonic(), spans)
        self._started(engine, span)

    def page_read(self, engine: str, page: Page) -> None:
        """Compare the spans of an engine with what its page says, which was just read."""
        finished = total(page.families, FINISHED)
        if finished is not None:
            spans = self._kept.aggregate.spans[engine]
            self._coverage[engine].note(page.read_at, finished, spans)

    # --- what others ask of it ---------------------------------------------------------------

    def problem(self) -> str | None:
        """Say what keeps spans from being received; None if nothing does."""
        return next((port.problem for port in self._ports if port.problem), None)

    def figures(self) -> TraceFigures:
        """Return all numbers, for the page."""
        kept = self._kept
        spans = kept.aggregate.spans
        coverage = {name: each.ratio(spans[name]) for name, each in self._coverage.items()}
        return TraceFigures(
            kept=kept,
            ports={port.protocol: port.up for port in self._ports},
            coverage={name: ratio for name, ratio in coverage.items() if ratio is not None},
            forward_up=self._forwarder.problem is None if self._forwarder else None,
        )

    def windows(self) -> dict[str, Any]:
        """Return the slowest requests of the window under way and of the last one, as JSON."""
        slowest = self._kept.slowest
        current, last = slowest.current(), slowest.last
        return {
            "window_s": self._config.window_s,
            "problem": self.problem(),
            "current": current.to_json() if current else None,
            "last": last.to_json() if last else None,
        }

    # --- parts -------------------------------------------------------------------------------

    def _make_ports(self, surroundings: Surroundings) -> Iterator[Port]:
        for protocol, address, serve in (
            ("http", self._config.listen_http, http_server),
            ("grpc", self._config.listen_grpc, grpc_server),
        ):
            run = partial(serve, self._intake, surroundings.tallies)
            held = surroundings.sockets.get(f"otlp-{protocol}")
            if held is not None:
                yield Port(protocol, held.dup, run)
            elif address is not None:
                bind = partial(premises.bind, address)
                yield Port(protocol, bind, run)

    def _make_forwarder(self, forward: Forward) -> Forwarder | None:
        kept, queue = self._kept, self._kept.queue
        queue.wanted = forward.endpoint is not None
        if forward.endpoint is None:
            queue.clear()
            return None
        queue.max_bytes = forward.queue_mb * MIB
        try:
            target = Target(
                forward.endpoint,
                forward_headers(forward),
                forward.timeout_s,
                tls_of(forward),
                kept.instance,
            )
        except ConfigError as error:
            queue.wanted = False
            _log.error(events.FORWARD_FAILED, problem=str(error), consequence="none is passed on")
            return None
        sender: Sender = GrpcSender(target) if forward.protocol == "grpc" else HttpSender(target)
        return Forwarder(queue, sender, self._clock, random.random)

    async def _end_windows(self) -> None:
        begun = self._intake.begun
        if self._kept.slowest.begun:
            begun.set()
        while True:
            await begun.wait()
            await self._clock.sleep(self._config.window_s)
            begun.clear()
            window = self._kept.slowest.end(self._clock.time())
            for request, ranks in window.distinct() if window else ():
                _log.info(events.REQUEST_SLOW, ranks=ranks, **describe(request))

    async def _list_models(self, name: str) -> frozenset[str] | None:
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


def tls_of(forward: Forward) -> ssl.SSLContext | None:
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
            f"traces.forward: the certificates cannot be used: {error}; mend ca_file, "
            "client_certificate_file or client_key_file"
        ) from None
    if forward.protocol == "grpc":
        context.set_alpn_protocols(["h2"])
    return context
