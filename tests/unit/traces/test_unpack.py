import gzip
import os
import time

import pytest

from tests.helpers.otlp import done
from vllmd.traces.refusal import BusyError, NotGzipError, TooLargeError
from vllmd.traces.unpack import (
    BODY_TIMEOUT_S,
    MAX_MEMBERS,
    STEP_BYTES,
    BudgetShare,
    MemoryBudget,
    allowed_s,
    gunzip,
)
from vllmd.util.units import KIB, MIB


def test_gunzip_gives_back_what_was_packed() -> None:
    data = os.urandom(700 * KIB)
    with BudgetShare(MemoryBudget()) as share:
        assert done(gunzip(gzip.compress(data), share)) == data
        assert done(gunzip(b"", share)) == b""


def test_gunzip_of_several_members_joins_them() -> None:
    packed = gzip.compress(b"a", mtime=0) + b"\0" * 200_000 + gzip.compress(b"b") + b"\0\0"
    with BudgetShare(MemoryBudget()) as share:
        assert done(gunzip(packed, share)) == b"ab"
        many = b"".join(gzip.compress(b"%d" % n) for n in range(MAX_MEMBERS))
        assert done(gunzip(many, share)) == b"".join(b"%d" % n for n in range(MAX_MEMBERS))


def test_gunzip_of_very_many_members_is_refused_at_once() -> None:
    """It took time by their square: 800,000 of them minutes."""
    packed = gzip.compress(b"") * 800_000
    began = time.process_time()
    with BudgetShare(MemoryBudget()) as share, pytest.raises(TooLargeError, match="64 members"):
        done(gunzip(packed, share))
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "data", [b"plain", gzip.compress(b"cut off" * 100, mtime=0)[:-12], b"\x1f\x8b"]
)
def test_gunzip_of_something_else_is_refused(data: bytes) -> None:
    with BudgetShare(MemoryBudget()) as share, pytest.raises(NotGzipError):
        done(gunzip(data, share))


def test_gunzip_of_a_bomb_stops_at_the_limit_and_gives_its_room_back() -> None:
    bomb = gzip.compress(bytes(40 * MIB), 9)
    assert len(bomb) < MIB / 5
    room = MemoryBudget(3 * MIB)
    with BudgetShare(room) as share, pytest.raises(TooLargeError):
        done(gunzip(bomb, share, 2 * MIB))
    room.take(3 * MIB)


def test_gunzip_without_room_is_busy() -> None:
    room = MemoryBudget(MIB)
    with BudgetShare(room) as share, pytest.raises(BusyError):
        done(gunzip(gzip.compress(bytes(2 * MIB)), share))
    room.take(MIB)


def test_gunzip_takes_exactly_the_limit() -> None:
    with BudgetShare(MemoryBudget()) as share:
        assert len(done(gunzip(gzip.compress(bytes(MIB)), share, MIB))) == MIB
        with pytest.raises(TooLargeError):
            done(gunzip(gzip.compress(bytes(MIB + 1)), share, MIB))


@pytest.mark.parametrize("data", [bytes(8 * MIB), os.urandom(8 * MIB)], ids=["packs", "does not"])
def test_gunzip_of_much_takes_many_steps(data: bytes) -> None:
    with BudgetShare(MemoryBudget()) as share:
        steps = sum(1 for _ in gunzip(gzip.compress(data), share))
    assert len(data) / STEP_BYTES / 2 <= steps <= 2 * len(data) / STEP_BYTES + 1


def test_a_body_has_the_longer_the_more_of_it_came() -> None:
    assert allowed_s(0) < allowed_s(64 * KIB) < allowed_s(MIB) == BODY_TIMEOUT_S


def test_a_body_that_arrives_gives_way_to_a_smaller_one() -> None:
    room, lost = MemoryBudget(100), []
    large = BudgetShare(room, "a", lambda: lost.append("large")).open()
    small = BudgetShare(room, "a", lambda: lost.append("small")).open()
    large.take(70)
    small.take(30)
    with BudgetShare(room, "a") as share:
        share.take(20)
        assert lost == ["large"]
        assert (large.lost, small.lost, large.held) == (True, False, 0)
        with pytest.raises(BusyError):
            large.take(1)
        with pytest.raises(BusyError):
            large.arrived()
    for each in (large, small):
        each.close()
    room.take(100)


def test_a_body_gives_way_to_none_that_is_larger_nor_once_it_has_arrived() -> None:
    room = MemoryBudget(100)
    arrived, arriving = BudgetShare(room, "a").open(), BudgetShare(room, "a").open()
    arrived.take(60)
    arrived.arrived()
    arriving.take(40)
    with BudgetShare(room, "a") as larger, pytest.raises(BusyError):
        larger.take(41)
    assert (arrived.held, arriving.held) == (60, 40)


def test_a_peer_with_many_bodies_gives_way_to_one_with_few() -> None:
    room = MemoryBudget(100)
    crowd = [BudgetShare(room, "many").open() for _ in range(10)]
    for share in crowd:
        share.take(10)
    with BudgetShare(room, "few") as share:
        share.take(30)
        assert [each.lost for each in crowd].count(True) == 3
        with BudgetShare(room, "many") as another, pytest.raises(BusyError):
            another.take(20)
        assert share.held == 30
