from collections.abc import Iterator

from vllmd.client.interface import ProviderError, Reply, Stream, TokenUsage


def test_a_stream_has_its_reply_once_it_was_read() -> None:
    def pieces(stream: Stream) -> Iterator[str]:
        yield "a"
        stream.reply = Reply("a", "m", "p", TokenUsage())

    stream = Stream(pieces)
    assert stream.reply is None
    assert list(stream) == ["a"]
    assert stream.reply == Reply("a", "m", "p", TokenUsage())


def test_an_error_has_its_status() -> None:
    assert ProviderError("no", status=429).status == 429
