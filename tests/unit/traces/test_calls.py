from vllmd.traces.calls import Reply, Stream
from vllmd.traces.unpack import Room, Share


def test_reply_without_a_body_is_headers_only() -> None:
    reply = Reply([(":status", "200")])
    assert reply.body is None
    assert reply.trailers == []


def test_streams_are_told_apart_though_they_are_alike() -> None:
    share = Share(Room())
    assert Stream(1, {}, share, 0.0) != Stream(1, {}, share, 0.0)
