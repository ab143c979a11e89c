"""OTLP bodies to spans, as protobuf and as JSON. Pure.

Source: the OTLP specification 1.x, "Binary Protobuf Encoding" and "JSON Protobuf Encoding".
"""

import base64
import binascii
import json
from collections.abc import Callable, Generator
from typing import Any

import attrs
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from vllmd.traces import wire
from vllmd.traces.refusal import FEWER, MalformedError, TooLargeError
from vllmd.traces.spans import ResourceSpans, engine_of, has_ids
from vllmd.traces.wire import Buffer, RequestOutline

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
MAX_JSON_OBJECTS = 32_768
"""Objects and lists in one body: each takes 10 µs; a span of a stock vLLM has 30 of them."""
MAX_JSON_MEMBERS = 8 * MAX_JSON_OBJECTS
QUICK_JSON_OBJECTS = 512
"""A body with no more is read in a few milliseconds."""


@attrs.frozen
class Received:
    """What a request held."""

    groups: list[ResourceSpans]
    """One for each engine, and one for everybody else."""
    rejected: int
    """Spans that were left out: their ids are none."""
    body: Callable[[], bytes]
    """Returns the request in protobuf, without those, as it is passed on."""

    @property
    def spans(self) -> int:
        """How many spans there are."""
        return sum(group.spans for group in self.groups)


class _Groups:
    def __init__(self, engines: frozenset[str]) -> None:
        self._engines = engines
        self._groups: dict[str | None, ResourceSpans] = {}

    def of(self, resource: Any) -> ResourceSpans:
        engine = engine_of(resource, self._engines)
        return self._groups.setdefault(engine, ResourceSpans(engine))

    def all(self) -> list[ResourceSpans]:
        return list(self._groups.values())


def read_protobuf(
    body: Buffer, found: RequestOutline, engines: frozenset[str]
) -> Generator[None, None, Received]:
    """Read a request of this outline in steps of at most 10 ms or so.

    Raises: MalformedError.
    """
    groups = _Groups(engines)
    bad: list[tuple[int, int]] = []
    rejected = spans = size = 0
    try:
        for resource in found.resources:
            if spans > wire.RUN_SPANS:
                yield
                spans = size = 0
            about = b"".join(body[start:end] for start, end in resource.about)
            group = groups.of(Resource.FromString(about))
            spans += 1 + len(resource.scopes)
            size += len(about)
            for scope in resource.scopes:
                for start, end in scope.about:
                    ScopeSpans.FromString(bytes(body[start:end]))
                for run in scope.runs:
                    if spans + run.spans > wire.RUN_SPANS or size > wire.RUN_BYTES:
                        yield
                        spans = size = 0
                    spans += run.spans
                    size += run.end - run.start
                    made = ScopeSpans.FromString(bytes(body[run.start : run.end]))
                    left_out = group.add(made.spans)
                    if left_out:
                        rejected += left_out
                        bad.append((run.start, run.end))
    except DecodeError:
        raise MalformedError("the body is no ExportTraceServiceRequest in protobuf") from None

    def passed_on() -> bytes:
        return wire.write(body, found, _without_rejected(body, bad)) if bad else bytes(body)

    return Received(groups.all(), rejected, passed_on)


def _without_rejected(body: Buffer, runs: list[tuple[int, int]]) -> dict[int, bytes]:
    kept = {}
    for start, end in runs:
        made = ScopeSpans.FromString(bytes(body[start:end]))
        spans = [span for span in made.spans if has_ids(span)]
        kept[start] = ScopeSpans(spans=spans).SerializeToString()
    return kept


def count_json(body: Buffer) -> int:
    """Return how many objects and lists there are at most in a body of JSON.

    Raises: TooLargeError: more than are taken.
    """
    objects = body.count(b"{") + body.count(b"[")
    members = body.count(b",")
    if objects > MAX_JSON_OBJECTS or members > MAX_JSON_MEMBERS:
        raise TooLargeError(
            f"the JSON has {objects} objects and lists and {members} commas, and at most "
            f"{MAX_JSON_OBJECTS} and {MAX_JSON_MEMBERS} are taken: send fewer spans at once, "
            f"{FEWER}, or use application/x-protobuf"
        )
    return objects


def read_json(body: Buffer, engines: frozenset[str]) -> Received:
    """Read a request in OTLP's own JSON: ids in hex, names in lowerCamelCase, unknown ones ignored.

    Raises: MalformedError.
    """
    request = ExportTraceServiceRequest()
    try:
        given = _from_otlp(json.loads(body))
        if not isinstance(given, dict):
            raise MalformedError("the body is no JSON object")
        json_format.ParseDict(given, request, ignore_unknown_fields=True)
    except (ValueError, RecursionError, json_format.ParseError, AttributeError, TypeError) as error:
        text = str(error)[:400].splitlines()[0][:200] if str(error) else type(error).__name__
        raise MalformedError(f"the body is no ExportTraceServiceRequest in JSON: {text}") from None
    except SystemError:  # of protobuf's C code
        raise MalformedError("a name in the JSON has half of a surrogate pair") from None
    groups, rejected = _Groups(engines), 0
    for resource_spans in request.resource_spans:
        group = groups.of(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            left_out = group.add(scope_spans.spans)
            if left_out:
                rejected += left_out
                kept = [span for span in scope_spans.spans if has_ids(span)]
                scope_spans.ClearField("spans")
                scope_spans.spans.extend(kept)
    return Received(groups.all(), rejected, request.SerializeToString)


def _from_otlp(value: Any) -> Any:
    """Turn OTLP's JSON into protobuf's: ids in base64, and no snake_case, which OTLP has not."""
    if isinstance(value, list):
        return [_from_otlp(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _id(name, each) if name in _IDS else _from_otlp(each)
        for name, each in value.items()
        if "_" not in name
    }


def _id(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedError(f"{name} is no string of hex digits")
    try:
        return base64.b64encode(bytes.fromhex(value)).decode()
    except (ValueError, binascii.Error):
        raise MalformedError(f"{name} is {value[:40]!r}, no string of hex digits") from None


def to_json(message: Any) -> bytes:
    """Return an answer, any message of protobuf, as OTLP's JSON in UTF-8.

    Source: the OTLP specification, "JSON Protobuf Encoding".
    """
    return str(json_format.MessageToJson(message, indent=None)).encode()
