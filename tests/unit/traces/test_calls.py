from vllmd.traces.calls import CallReply, CallStream
from vllmd.traces.unpack import BudgetShare, MemoryBudget


def test_reply_without_a_body_is_headers_only() -> None:
    reply = CallReply([(":status", "200")])
    assert reply.body is None
    assert reply.trailers == []


def test_streams_are_told_apart_though_they_are_alike() -> None:
    share = BudgetShare(MemoryBudget())
    assert CallStream(1, {}, share, 0.0) != CallStream(1, {}, share, 0.0)


def test_a_stream_that_lets_go_holds_nothing() -> None:
    room, told = MemoryBudget(100), []
    share = BudgetShare(room, "", lambda: told.append("gave way")).open()
    stream = CallStream(1, {}, share, 0.0)
    share.take(100)
    stream.data += bytes(100)
    stream.release()
    share.gave_way()
    room.take(100)
    assert not stream.data
    assert not told
