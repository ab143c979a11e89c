from vllmd.traces.calls import Reply, Stream
from vllmd.traces.unpack import Room, Share


def test_reply_without_a_body_is_headers_only() -> None:
    reply = Reply([(":status", "200")])
    assert reply.body is None
    assert reply.trailers == []


def test_streams_are_told_apart_though_they_are_alike() -> None:
    share = Share(Room())
    assert Stream(1, {}, share, 0.0) != Stream(1, {}, share, 0.0)


def test_a_stream_that_lets_go_holds_nothing() -> None:
    room, told = Room(100), []
    share = Share(room, "", lambda: told.append("gave way")).open()
    stream = Stream(1, {}, share, 0.0)
    share.take(100)
    stream.data += bytes(100)
    stream.let_go()
    share.gave_way()
    room.take(100)
    assert not stream.data
    assert not told
