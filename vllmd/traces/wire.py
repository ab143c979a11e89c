"""The outer levels of a request in protobuf, measured before anything is made of it. Pure.

A request is resources, of scopes, of spans. Only these three levels are walked; what is in a
span is passed over by its length. So a body that would become a million objects is refused for the
price of a walk that ends early, and the rest is parsed in runs of spans that are small.
Source: Protocol Buffers, "Encoding"; `opentelemetry/proto/trace/v1/trace.proto`.
"""

from collections.abc import Generator, Iterator, Mapping

import attrs

from vllmd.traces.refusal import FEWER, MalformedError, TooLargeError
from vllmd.util.units import KIB, MIB

MAX_SPANS = 16_384
"""Of one request: 32 times the largest batch of a stock vLLM."""
MAX_PARTS = 4 * MAX_SPANS
"""Fields on the three levels in all: resources, scopes, spans, and what is not known."""
STEP_PARTS = 4096
"""Fields that are walked in one go: 5 ms."""
MAX_SPAN_BYTES = MIB
MAX_ABOUT_BYTES = 2 * MIB
"""What describes resources and scopes, of one request."""
RUN_SPANS = 512
RUN_BYTES = 256 * KIB
"""Spans that are parsed in one go: the worst 256 KiB take 13 ms."""

Buffer = bytes | bytearray
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SKIPPED = {_FIXED64: 8, _FIXED32: 4}
_GROUPS = 0x0A
"""The tag of `resource_spans`. On the level below: of `resource`; on the third: of `scope`."""
_ABOUT = 0x0A
_MEMBERS = 0x12
"""The tag of `scope_spans` in a resource, and of `spans` in a scope."""


@attrs.define
class SpanRun:
    """Spans that follow each other in a scope, as [start, end) of the body with their tags."""

    start: int
    end: int
    spans: int


@attrs.define
class Scope:
    """One scope: its spans in runs; what else it has in [start, end) pieces with their tags."""

    about: list[tuple[int, int]] = attrs.field(factory=list)
    runs: list[SpanRun] = attrs.field(factory=list)


@attrs.define
class Resource:
    """One resource: `about` is what is said of it, in pieces; `rest` what is not known."""

    about: list[tuple[int, int]] = attrs.field(factory=list)
    rest: list[tuple[int, int]] = attrs.field(factory=list)
    scopes: list[Scope] = attrs.field(factory=list)


@attrs.define
class RequestOutline:
    """What a request holds, without its spans."""

    resources: list[Resource] = attrs.field(factory=list)
    rest: list[tuple[int, int]] = attrs.field(factory=list)
    spans: int = 0


def outline(data: Buffer) -> Generator[None, None, RequestOutline]:
    """Walk a request, in steps.

    Raises: MalformedError: it is none; TooLargeError: it holds more than is taken.
    """
    return (yield from _Walk(data).walk())


class _Walk:
    def __init__(self, data: Buffer) -> None:
        self._data = data
        self._parts = MAX_PARTS
        self._step = MAX_PARTS - STEP_PARTS
        self._about_bytes = MAX_ABOUT_BYTES
        self._found = RequestOutline()

    def walk(self) -> Generator[None, None, RequestOutline]:
        for tag, start, at, end in self._fields(0, len(self._data)):
            if self._parts < self._step:
                yield
                self._step = self._parts - STEP_PARTS
            if tag == _GROUPS:
                made = Resource()
                self._found.resources.append(made)
                yield from self._resource(made, at, end)
            else:
                self._found.rest.append((start, end))
        return self._found

    def _resource(self, made: Resource, at: int, end: int) -> Generator[None, None, None]:
        for tag, start, value, value_end in self._fields(at, end):
            if self._parts < self._step:
                yield
                self._step = self._parts - STEP_PARTS
            if tag == _MEMBERS:
                scope = Scope()
                made.scopes.append(scope)
                yield from self._scope(scope, value, value_end)
            elif tag == _ABOUT:
                made.about.append((value, value_end))
                self._describe(value_end - value)
            else:
                made.rest.append((start, value_end))

    def _scope(self, made: Scope, at: int, end: int) -> Generator[None, None, None]:
        run: SpanRun | None = None
        for tag, start, value, value_end in self._fields(at, end):
            if self._parts < self._step:
                yield
                self._step = self._parts - STEP_PARTS
            if tag != _MEMBERS:
                made.about.append((start, value_end))
                self._describe(value_end - value)
                run = None
                continue
            if value_end - value > MAX_SPAN_BYTES:
                raise TooLargeError(
                    f"a span has {value_end - value} bytes, and at most {MAX_SPAN_BYTES} are "
                    "taken: set OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"
                )
            if run is None or run.spans >= RUN_SPANS or value_end - run.start > RUN_BYTES:
                run = SpanRun(start, value_end, 0)
                made.runs.append(run)
            run.end = value_end
            run.spans += 1
            self._found.spans += 1
            if self._found.spans > MAX_SPANS:
                raise TooLargeError(
                    f"one request has more than {MAX_SPANS} spans: send fewer at once, {FEWER}"
                )

    def _describe(self, size: int) -> None:
        self._about_bytes -= size
        if self._about_bytes < 0:
            raise TooLargeError(
                f"what describes the resources and scopes of one request has more than "
                f"{MAX_ABOUT_BYTES} bytes: send fewer spans at once, {FEWER}"
            )

    def _fields(self, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield tag, start of the tag, start and end of the value of each field."""
        data = self._data
        while at < end:
            start = at
            tag = data[at]
            at += 1
            if tag >= 0x80 or not tag >> 3:
                tag, at = self._varint(start, end)
            kind = tag & 7
            if kind == _BYTES:
                size = data[at] if at < end else 0x80
                at += 1
                if size >= 0x80:
                    if at < end and data[at] < 0x80:  # as most spans have it
                        size = size & 0x7F | data[at] << 7
                        at += 1
                    else:
                        size, at = self._varint(at - 1, end)
                value_end = at + size
            elif kind == _VARINT:
                _, value_end = self._varint(at, end)
            else:
                value_end = at + _SKIPPED.get(kind, end)
            if value_end > end or not tag >> 3:
                raise _malformed()
            self._parts -= 1
            if self._parts < 0:
                raise TooLargeError(
                    f"one request has more than {MAX_PARTS} resources, scopes and spans: send "
                    f"fewer at once, {FEWER}"
                )
            yield tag, start, at, value_end
            at = value_end

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                break
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise _malformed()


def _malformed() -> MalformedError:
    return MalformedError("the body is no ExportTraceServiceRequest in protobuf")


def field(tag: int, value: bytes) -> bytes:
    """Return a field of bytes with its one-byte tag: tag, length as a varint, value.

    Source: Protocol Buffers, "Encoding".
    """
    size, head = len(value), bytearray((tag,))
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + value


def write(data: Buffer, found: RequestOutline, kept: Mapping[int, bytes]) -> bytes:
    """Write a request anew, with other spans in some runs.

    `kept` is what a run has instead, fields with their tags, by where the run starts in `data`.
    """
    groups = []
    for resource in found.resources:
        parts = [field(_ABOUT, bytes(data[start:end])) for start, end in resource.about]
        for scope in resource.scopes:
            spans = [
                kept[run.start] if run.start in kept else bytes(data[run.start : run.end])
                for run in scope.runs
            ]
            about = [bytes(data[start:end]) for start, end in scope.about]
            parts.append(field(_MEMBERS, b"".join(about + spans)))
        parts += [bytes(data[start:end]) for start, end in resource.rest]
        groups.append(field(_GROUPS, b"".join(parts)))
    return b"".join(groups + [bytes(data[start:end]) for start, end in found.rest])
