import pytest

from vllmd.gpu import wire


def test_message_comes_back_as_it_was_sent() -> None:
    line = wire.encode("xid", at=1.5, uuid="GPU-1", code=79)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert wire.decode(line) == {"v": 1, "kind": "xid", "at": 1.5, "uuid": "GPU-1", "code": 79}


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"{}", b'{"v": 1, "kind": 1}', b"\xff\n", b"[" * 100_000]
)
def test_anything_else_is_no_message(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        wire.decode(line)


def test_reasons_are_unique() -> None:
    assert len(set(wire.REASONS)) == len(wire.REASONS)


@pytest.mark.parametrize("version", ["", '"v": 2, ', '"v": "1", ', '"v": null, '])
def test_another_version_is_refused_with_what_to_do(version: str) -> None:
    with pytest.raises(ValueError, match="systemctl restart vllmd-daemon"):
        wire.decode(f'{{{version}"kind": "fast"}}'.encode())
