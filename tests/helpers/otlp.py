"""Requests to export spans, as vLLM makes them, and receivers to send them to."""

import base64
import itertools
import json
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.helpers.clock import FakeClock
from vllmd.traces.intake import Body, Intake, IntakeState
from vllmd.traces.spans import RequestSpan, StartSpan
from vllmd.traces.unpack import BudgetShare

T = TypeVar("T")
DATA = Path(__file__).parents[1] / "data" / "otlp"
ENGINE = "chat"
START_NS = 1_795_461_110_000_000_000

USUAL: Mapping[str, float | int | str] = {
    "gen_ai.latency.time_to_first_token": 0.2,
    "gen_ai.latency.time_in_queue": 0.05,
    "gen_ai.latency.time_in_model_prefill": 0.15,
    "gen_ai.latency.time_in_model_decode": 0.9,
    "gen_ai.latency.e2e": 1.1,
    "gen_ai.usage.prompt_tokens": 40,
    "gen_ai.usage.completion_tokens": 10,
    "gen_ai.request.n": 1,
}

_numbers = itertools.count(1)


def add_span(
    request: ExportTraceServiceRequest,
    *,
    engine: str | None = ENGINE,
    name: str = "llm_request",
    state: str = "",
    ids: tuple[bytes, bytes] | None = None,
    start_ns: int | None = None,
    request_id: str | None = None,
    attributes: Mapping[str, Any] = USUAL,
    **changed: Any,
) -> Any:
    """Add a span under a resource of its own; `changed` by the last part of a name, `_` for `.`."""
    number = next(_numbers)
    group = request.resource_spans.add()
    if engine is not None:
        attribute = group.resource.attributes.add()
        attribute.key, attribute.value.string_value = "vllmd.engine", engine
    span = group.scope_spans.add().spans.add()
    span.trace_id, span.span_id = ids or (number.to_bytes(16), number.to_bytes(8))
    span.name, span.trace_state = name, state
    span.start_time_unix_nano = START_NS + number if start_ns is None else start_ns
    span.end_time_unix_nano = span.start_time_unix_nano + 2_000_000_000
    given = {**attributes, "gen_ai.request.id": request_id or f"cmpl-{number}"}
    for key in list(given):
        short = key.rpartition(".")[2]
        if short in changed:
            given[key] = changed.pop(short)
    assert not changed, changed
    for key, value in given.items():
        if value is None:
            continue
        attribute = span.attributes.add()
        attribute.key = key
        if isinstance(value, str):
            attribute.value.string_value = value
        elif isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.double_value = value
    return span


def done(steps: Generator[None, None, T]) -> T:
    """Do all steps of a work, and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


def export(count: int = 1, **options: Any) -> ExportTraceServiceRequest:
    """Return a request with so many spans alike."""
    request = ExportTraceServiceRequest()
    for _ in range(count):
        add_span(request, **options)
    return request


def json_of(request: ExportTraceServiceRequest) -> bytes:
    """Return a request in OTLP's own JSON: ids in hex."""
    given = json_format.MessageToDict(request)
    for group in given["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for each in scope["spans"]:
                for name in {"traceId", "spanId"} & each.keys():
                    each[name] = base64.b64decode(each[name]).hex()
    return json.dumps(given).encode()


def recorded(name: str, engine: str | None = ENGINE) -> ExportTraceServiceRequest:
    """Return what a real vLLM sent, with the attribute by which vllmd would know it."""
    request = ExportTraceServiceRequest()
    request.ParseFromString((DATA / f"{name}.bin").read_bytes())
    for group in request.resource_spans if engine else ():
        attribute = group.resource.attributes.add()
        attribute.key, attribute.value.string_value = "vllmd.engine", str(engine)
    return request


def span(**changed: Any) -> RequestSpan:
    """Return the numbers of one request; `changed` by the names of `RequestSpan`."""
    number = next(_numbers)
    made = RequestSpan(
        trace_id=number.to_bytes(16),
        span_id=number.to_bytes(8),
        start_ns=START_NS + number,
        request_id=f"cmpl-{number}",
        claimed=None,
        time_to_first_token=0.2,
        queue=0.05,
        prefill=0.15,
        decode=0.9,
        e2e=1.1,
        prompt_tokens=40,
        completion_tokens=10,
        n=1,
    )
    return attrs.evolve(made, **changed)


class Taken:
    """An intake, and what it told."""

    def __init__(self, *models: str, engines: Iterable[str] = (ENGINE,)) -> None:
        self.kept = IntakeState()
        self.clock = FakeClock()
        self.asked: list[tuple[str, frozenset[str]]] = []
        self.started: list[tuple[str, StartSpan]] = []
        self._known = frozenset(models)
        self.intake = Intake(
            engines,
            self.kept,
            self._models,
            lambda engine, span: self.started.append((engine, span)),
            self.clock,
        )

    async def _models(self, engine: str, wanted: Iterable[str]) -> frozenset[str]:
        self.asked.append((engine, frozenset(wanted)))
        return self._known

    async def take(self, request: Any, *, json: bool = False) -> Any:
        """Take a request, a message or its bytes; returns the answer."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        with BudgetShare(self.intake.room) as share:
            share.take(len(data))
            return await self.intake.take(Body(data, json=json), share)

    @property
    def spans(self) -> int:
        """Spans of requests that were counted."""
        return sum(self.kept.aggregate.spans.values())


@asynccontextmanager
async def taken(*models: str) -> AsyncIterator[Taken]:
    """Make an intake inside the event loop."""
    yield Taken(*models)
