"""The cases of the OTLP specification and of the Collector's own receiver tests."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.helpers.otlp import Taken, add_span, export
from vllmd.traces.forward.senders import TRAIL_HEADER
from vllmd.traces.http import HttpReceiver
from vllmd.traces.unpack import MAX_BODY_BYTES, MAX_JSON_BYTES
from vllmd.util.units import KIB, MIB

PROTOBUF, JSON = "application/x-protobuf", "application/json"
URL = "http://vllmd/v1/traces"


@pytest.fixture
def taken() -> Taken:
    return Taken("sql")


@pytest.fixture
async def client(taken: Taken) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(HttpReceiver(taken.intake))
    async with httpx.AsyncClient(transport=transport) as made:
        yield made


def body_of(kind: str, request: Any = None) -> bytes:
    request = export(2) if request is None else request
    if kind == PROTOBUF:
        return bytes(request.SerializeToString())
    given = json_format.MessageToDict(request)
    for group in given["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                span["traceId"], span["spanId"] = ("ab" * 16, f"{id(span):016x}")
    return json.dumps(given).encode()


def status_of(response: httpx.Response) -> Status:
    """Read the body of a failure: a Status, in the encoding of the request."""
    status = Status()
    if response.headers["content-type"] == JSON:
        json_format.Parse(response.text, status)
    else:
        assert response.headers["content-type"] == PROTOBUF
        status.ParseFromString(response.content)
    assert status.message
    return status


async def post(client: httpx.AsyncClient, body: Any, kind: str, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(URL, content=body, headers={"content-type": kind, **given})


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("parameters", ["", "; charset=utf-8", ";x=y"])
@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_spans_are_taken_in_both_encodings(
    client: httpx.AsyncClient, taken: Taken, kind: str, parameters: str, packed: bool
) -> None:
    body, headers = body_of(kind), {}
    if packed:
        body, headers = gzip.compress(body), {"content_encoding": "gzip"}
    response = await post(client, body, kind + parameters, **headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == kind
    if kind == PROTOBUF:
        assert response.content == b"", "partial_success must not be set"
    else:
        assert response.json() == {}
    assert taken.spans == 2
    assert taken.kept.counts.requests == {("http", "accepted"): 1}


@pytest.mark.parametrize(("kind", "body"), [(PROTOBUF, b""), (JSON, b"{}")])
async def test_an_empty_request_is_fine(
    client: httpx.AsyncClient, taken: Taken, kind: str, body: bytes
) -> None:
    response = await post(client, body, kind)
    assert response.status_code == 200
    assert taken.spans == 0


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_a_body_that_is_cut_off_is_refused_in_the_same_encoding(
    client: httpx.AsyncClient, kind: str
) -> None:
    response = await post(client, body_of(kind)[:-3], kind)
    assert response.status_code == 400
    assert response.headers["content-type"] == kind
    assert status_of(response).code == 3


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
async def test_gzip_that_is_none_is_refused(client: httpx.AsyncClient, kind: str) -> None:
    response = await post(client, body_of(kind), kind, content_encoding="gzip")
    assert response.status_code == 400
    status_of(response)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/protobuf", "application/grpc"])
async def test_another_content_type_is_refused(client: httpx.AsyncClient, kind: str) -> None:
    response = await post(client, b"x", kind)
    assert response.status_code == 415
    assert "application/x-protobuf" in status_of(response).message


async def test_another_encoding_is_refused(client: httpx.AsyncClient) -> None:
    response = await post(client, b"x", PROTOBUF, content_encoding="zstd")
    assert response.status_code == 415
    assert "'zstd': use gzip" in status_of(response).message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_another_method_is_refused(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, URL)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("signal", ["metrics", "logs"])
async def test_other_signals_are_told_how_to_stop(client: httpx.AsyncClient, signal: str) -> None:
    url = f"http://vllmd/v1/{signal}"
    response = await client.post(url, content=b"", headers={"content-type": PROTOBUF})
    assert response.status_code == 404, "nothing that exporters try again"
    message = status_of(response).message
    assert f"OTEL_{signal.upper()}_EXPORTER=none" in message


async def test_another_path_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("http://vllmd/", content=b"{}", headers={"content-type": JSON})
    assert response.status_code == 404
    assert "traces go to /v1/traces" in status_of(response).message


@pytest.mark.long
async def test_a_bomb_is_refused(client: httpx.AsyncClient, taken: Taken) -> None:
    bomb = gzip.compress(bytes(100 * MIB), 9)
    response = await post(client, bomb, PROTOBUF, content_encoding="gzip")
    assert response.status_code == 413
    assert status_of(response).code == 8
    taken.intake.room.take(4 * MAX_BODY_BYTES)  # all of it was given back


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("kind", "limit"), [(PROTOBUF, MAX_BODY_BYTES), (JSON, MAX_JSON_BYTES)])
async def test_a_body_that_is_too_large_is_refused(
    client: httpx.AsyncClient, taken: Taken, kind: str, limit: int, declared: bool
) -> None:
    body = bytes(limit + 1)

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 256 * KIB):
            yield body[start : start + 256 * KIB]

    response = await post(client, body if declared else blocks(), kind)
    assert response.status_code == 413
    assert status_of(response).code == 8
    taken.intake.room.take(4 * MAX_BODY_BYTES)


async def test_too_much_at_once_is_told_to_come_again_soon(
    client: httpx.AsyncClient, taken: Taken
) -> None:
    taken.intake.room.take(4 * MAX_BODY_BYTES - 10)
    response = await post(client, body_of(PROTOBUF), PROTOBUF)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) <= 2
    assert status_of(response).code == 14
    assert taken.kept.counts.requests == {("http", "busy"): 1}
    taken.intake.room.give(4 * MAX_BODY_BYTES - 10)
    assert (await post(client, body_of(PROTOBUF), PROTOBUF)).status_code == 200


async def test_spans_without_an_identity_are_told(client: httpx.AsyncClient) -> None:
    request = export(3)
    add_span(request, ids=(b"x", b"y"))
    response = await post(client, request.SerializeToString(), PROTOBUF)
    answer = ExportTraceServiceResponse.FromString(response.content)
    assert response.status_code == 200
    assert answer.partial_success.rejected_spans == 1


async def test_what_was_passed_on_by_this_daemon_is_refused(
    client: httpx.AsyncClient, taken: Taken
) -> None:
    headers = {"content-type": PROTOBUF, TRAIL_HEADER: taken.kept.instance}
    response = await client.post(URL, content=body_of(PROTOBUF), headers=headers)
    assert response.status_code == 400
    assert "forwarded by this vllmd" in status_of(response).message


async def test_a_connection_that_ends_within_the_body_counts_nothing(taken: Taken) -> None:
    messages: Iterator[dict[str, Any]] = iter(
        [
            {"type": "http.request", "body": b"x", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", PROTOBUF.encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/traces", "headers": headers}
    await HttpReceiver(taken.intake)(scope, receive, send)
    assert sent[0]["status"] == 400
    assert taken.spans == 0
