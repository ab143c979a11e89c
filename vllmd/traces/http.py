"""OTLP over HTTP. A plain ASGI application: one route, and answers to the letter.

Source: the OTLP specification, "OTLP/HTTP".
"""

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
from google.rpc.status_pb2 import Status
from starlette.types import Receive, Scope, Send

from vllmd.config.traces import PATH
from vllmd.http.connections import Connection
from vllmd.traces import decode
from vllmd.traces.forward.senders import TRAIL_HEADER
from vllmd.traces.intake import Body, Intake
from vllmd.traces.refusal import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNIMPLEMENTED,
    BusyError,
    MalformedError,
    RefusedError,
    SlowError,
    TooLargeError,
)
from vllmd.traces.unpack import (
    BODY_START_S,
    BODY_TIMEOUT_S,
    MAX_BODY_BYTES,
    MAX_JSON_BYTES,
    BudgetShare,
    allowed_s,
)

OTHER_SIGNALS = {
    "/v1/metrics": "metrics",
    "/v1/logs": "logs",
    "/v1development/profiles": "profiles",
}
DISCARDED_BYTES = 4 * MAX_BODY_BYTES
"""What is read and thrown away of a body that is too large, so that its sender sees why."""


@attrs.frozen
class _Kind:
    """One of OTLP's two encodings."""

    content_type: bytes
    write: Callable[[Any], bytes]
    limit: int


PROTOBUF = _Kind(
    b"application/x-protobuf",
    lambda message: bytes(message.SerializeToString()),
    MAX_BODY_BYTES,
)
JSON = _Kind(b"application/json", decode.to_json, MAX_JSON_BYTES)
_TRAIL = TRAIL_HEADER.encode()
_KINDS = {kind.content_type: kind for kind in (PROTOBUF, JSON)}


class _Refusal(Exception):  # noqa: N818 - an answer, not a mistake of ours
    def __init__(
        self, status: int, code: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


class HttpReceiver:
    """The application."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        kind = _KINDS.get(_bare(headers.get(b"content-type", b"")))
        counts = self._intake.counts
        peer = _peer_of(scope)
        try:
            _refuse_unsupported(scope, kind)
            assert kind is not None
            via = self._intake.read_trail(headers.get(_TRAIL, b"").decode("latin-1"))
            with BudgetShare(self._intake.room, peer) as share:
                body = await _read(receive, headers, kind, share)
                answer = await self._intake.take(body, share, via)
            counts.requests["http", "accepted"] += 1
            await _send(send, 200, kind, kind.write(answer))
        except _Refusal as refusal:
            counts.requests["http", "refused"] += 1
            counts.refused["http", "unfit"] += 1
            await _refuse(send, refusal, kind or JSON)
        except RefusedError as error:
            counts.refuse("http", error)
            await _refuse(send, _refusal(error), kind or JSON)


def _peer_of(scope: Scope) -> str:
    connection: Connection | None = scope.get("state", {}).get("connection")
    return connection.peer if connection is not None else ""


async def _refuse(send: Send, refusal: "_Refusal", kind: _Kind) -> None:
    body = kind.write(Status(code=refusal.code, message=str(refusal)))
    await _send(send, refusal.status, kind, body, refusal.headers)


def _refuse_unsupported(scope: Scope, kind: _Kind | None) -> None:
    path = scope["path"]
    if signal := OTHER_SIGNALS.get(path):
        raise _Refusal(404, UNIMPLEMENTED, only_traces(signal))
    if path != PATH:
        raise _Refusal(404, NOT_FOUND, f"there is nothing at {path}; traces go to {PATH}")
    if scope["method"] != "POST":
        message = f"{scope['method']} is not allowed; traces are sent with POST"
        raise _Refusal(405, UNIMPLEMENTED, message, ((b"allow", b"POST"),))
    if kind is None:
        raise _Refusal(
            415,
            INVALID_ARGUMENT,
            "the content type is neither application/x-protobuf nor application/json",
        )


def only_traces(signal: str) -> str:
    """Say that another signal is not taken, and how to stop sending it."""
    return (
        f"vllmd receives traces only, no {signal}: set OTEL_{signal.upper()}_EXPORTER=none, or "
        f"send {signal} to a collector of your own"
    )


def _refusal(error: RefusedError) -> _Refusal:
    after = error.retry_after_s
    headers = () if after is None else ((b"retry-after", b"%d" % after),)
    return _Refusal(error.http_status, error.code, str(error), headers)


async def _read(
    receive: Receive, headers: dict[bytes, bytes], kind: _Kind, share: BudgetShare
) -> Body:
    """Read the body."""
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"gzip", b"identity", b""):
        raise _Refusal(
            415, INVALID_ARGUMENT, f"content encoding {encoding.decode('latin-1')!r}: use gzip"
        )
    length = headers.get(b"content-length", b"0")
    expected = int(length) if length.isdigit() else 0
    try:
        async with asyncio.timeout(BODY_START_S) as deadline:
            if expected > kind.limit:
                await _discard(receive, deadline)
                raise TooLargeError
            data = await _body(receive, kind.limit, share, deadline)
    except TimeoutError:
        raise (BusyError if share.lost else SlowError)() from None
    return Body(data, packed=encoding == b"gzip", json=kind is JSON)


async def _body(
    receive: Receive, limit: int, share: BudgetShare, deadline: asyncio.Timeout
) -> bytearray:
    began = asyncio.get_running_loop().time()
    share.gave_way = lambda: deadline.reschedule(began)
    body = bytearray()
    try:
        while await _receive(receive, body, limit, share, deadline):
            deadline.reschedule(began + allowed_s(len(body)))
    except BaseException:
        body.clear()  # now, not when garbage is collected
        raise
    finally:
        share.gave_way = lambda: None
    return body


async def _receive(
    receive: Receive, body: bytearray, limit: int, share: BudgetShare, deadline: asyncio.Timeout
) -> bool:
    """Receive one more block; tells whether there are more."""
    message = await receive()
    if message["type"] != "http.request":
        raise MalformedError("the connection ended within the body")
    block, more = message.get("body", b""), bool(message.get("more_body"))
    try:
        if len(body) + len(block) > limit:
            raise TooLargeError
        share.take(len(block))
    except RefusedError:
        body.clear()
        if more:
            await _discard(receive, deadline)
        raise
    body += block
    return more


async def _discard(receive: Receive, deadline: asyncio.Timeout) -> None:
    """Read what still comes of a body that is refused: its sender reads the answer after it."""
    deadline.reschedule(asyncio.get_running_loop().time() + BODY_TIMEOUT_S)
    left = DISCARDED_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body"):
            return


def _bare(content_type: bytes) -> bytes:
    return content_type.split(b";")[0].strip().lower()


async def _send(
    send: Send,
    status: int,
    kind: _Kind,
    body: bytes,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    about = [
        (b"content-type", kind.content_type),
        (b"content-length", b"%d" % len(body)),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": about})
    await send({"type": "http.response.body", "body": body})
