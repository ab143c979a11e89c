"""Requests with spans, as protobuf and as JSON, plain and in gzip."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Sequence

from tests.fuzz.target import Target
from tests.helpers.otlp import DATA, Taken, export, json_of
from vllmd.traces import decode
from vllmd.traces.intake import Body
from vllmd.traces.refusal import RefusedError
from vllmd.traces.unpack import ROOM_BYTES, BudgetShare

_loop = asyncio.Runner()


def _taking(*, is_json: bool) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        _loop.run(_take(data, is_json=is_json))

    return run


async def _take(data: bytes, *, is_json: bool) -> None:
    taken = Taken("tiny")
    packed = data[:2] == b"\x1f\x8b"
    try:
        with BudgetShare(taken.intake.room) as share:
            share.take(len(data))
            answer = await taken.intake.take(Body(data, packed=packed, json=is_json), share)
        decode.to_json(answer)
    except RefusedError as error:
        str(error)
    taken.intake.room.take(ROOM_BYTES)  # all of it was given back


def _corpus(*, is_json: bool) -> Sequence[bytes]:
    made = [export(1), export(3, state="a=b", name="llm_request"), export(1, engine=None)]
    plain = [json_of(each) if is_json else each.SerializeToString() for each in made]
    if is_json:
        plain.append(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}).encode())
    else:
        plain += [path.read_bytes() for path in sorted(DATA.glob("*.bin"))]
    twice = gzip.compress(plain[0], mtime=0) * 2
    return [*plain, gzip.compress(plain[1], mtime=0), twice, zlib.compress(plain[0])]


PROTOBUF = Target(
    "otlp_protobuf",
    _taking(is_json=False),
    lambda: _corpus(is_json=False),
    scraps=(
        b"\x0a\x00",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0b",
        b"\x0c",
        b"\x12\x02\x0a\x00",
        b"\x1f\x8b",
    ),
)
JSON = Target(
    "otlp_json",
    _taking(is_json=True),
    lambda: _corpus(is_json=True),
    scraps=(
        *(b'"traceId":', b'"intValue":"', b'"doubleValue":1e999', b"Infinity", b'{"spans":[{}]}'),
        *(
            b'"startTimeUnixNano":"-1"',
            b'"arrayValue":{"values":[',
            b"\\ud800",
            b"{}," * 100,
            b"\x1f\x8b",
        ),
    ),
)
