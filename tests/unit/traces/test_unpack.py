import gzip
import os

import pytest

from vllmd.traces.unpack import BusyError, NotGzipError, Room, Share, TooLargeError, gunzip
from vllmd.units import KIB, MIB


def test_gunzip_gives_back_what_was_packed() -> None:
    data = os.urandom(700 * KIB)
    with Share(Room()) as share:
        assert gunzip(gzip.compress(data), share) == data


def test_gunzip_of_several_members_joins_them() -> None:
    with Share(Room()) as share:
        assert gunzip(gzip.compress(b"a", mtime=0) + gzip.compress(b"b") + b"\0\0", share) == b"ab"


@pytest.mark.parametrize(
    "data", [b"plain", gzip.compress(b"cut off" * 100, mtime=0)[:-12], b"\x1f\x8b"]
)
def test_gunzip_of_something_else_is_refused(data: bytes) -> None:
    with Share(Room()) as share, pytest.raises(NotGzipError):
        gunzip(data, share)


def test_gunzip_of_a_bomb_stops_at_the_limit_and_gives_its_room_back() -> None:
    bomb = gzip.compress(bytes(200 * MIB), 9)
    assert len(bomb) < MIB
    room = Room(3 * MIB)
    with Share(room) as share, pytest.raises(TooLargeError):
        gunzip(bomb, share, 2 * MIB)
    room.take(3 * MIB)


def test_gunzip_without_room_is_busy() -> None:
    room = Room(MIB)
    with Share(room) as share, pytest.raises(BusyError):
        gunzip(gzip.compress(bytes(2 * MIB)), share)
    room.take(MIB)


def test_gunzip_takes_exactly_the_limit() -> None:
    with Share(Room()) as share:
        assert len(gunzip(gzip.compress(bytes(MIB)), share, MIB)) == MIB
        with pytest.raises(TooLargeError):
            gunzip(gzip.compress(bytes(MIB + 1)), share, MIB)
