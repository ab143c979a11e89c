import gzip

import pytest

from vllmd.http.packing import Packer, accepts_gzip


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


def test_packed_is_done_once_for_the_same_body() -> None:
    packer = Packer()
    body, same = b"x" * 1000, bytes(bytearray(b"x" * 1000))
    packed = packer.packed("text", body)
    assert gzip.decompress(packed) == body
    assert packer.packed("text", body) is packed
    other = packer.packed("openmetrics", b"y")
    assert packer.packed("openmetrics", b"z") != other
    assert packer.packed("text", body) is packed
    again = packer.packed("text", same)  # another page, if it says the same
    assert again is not packed
    assert again == packed
