import asyncio
import gzip
import os

import pytest

from vllmd.http.packing import AT_ONCE_BYTES, Packer, accepts_gzip


@pytest.mark.parametrize(
    ("header", "accepts"),
    [
        ("gzip", True),
        ("GZip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("br, x-gzip", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("br", False),
        ("", False),
        ("gzipped", False),
    ],
)
def test_accepts_gzip_reads_the_header(header: str, accepts: bool) -> None:
    assert accepts_gzip(header) is accepts


async def test_packed_is_done_once_for_the_same_body() -> None:
    packer = Packer()
    body, same = b"x" * 1000, bytes(bytearray(b"x" * 1000))
    packed = await packer.packed("text", body)
    assert gzip.decompress(packed) == body
    assert await packer.packed("text", body) is packed
    other = await packer.packed("openmetrics", b"y")
    assert await packer.packed("openmetrics", b"z") != other
    assert await packer.packed("text", body) is packed
    again = await packer.packed("text", same)  # another page, if it says the same
    assert again is not packed
    assert again == packed


async def test_a_large_body_is_packed_aside_and_once_for_all_who_wait() -> None:
    packer, body = Packer(), os.urandom(AT_ONCE_BYTES) + b"x"
    waiting = [asyncio.ensure_future(packer.packed("text", body)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)
    waiting[0].cancel()  # its client has gone
    _, one, other = await asyncio.gather(*waiting, return_exceptions=True)
    assert one is other
    assert isinstance(one, bytes)
    assert gzip.decompress(one) == body
