import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from vllmd.http.connections import FLOOD, PROTOCOL
from vllmd.traces.frames import (
    BUDGET,
    FRAMES_AT_ONCE,
    PREFACE,
    REFILL_PER_S,
    FrameLimits,
    RefusedConnectionError,
)


def gate() -> FrameLimits:
    made = FrameLimits(0.0)
    assert made.allow(bytearray(PREFACE), 0.0) == len(PREFACE)
    return made


def allowed(made: FrameLimits, frame: Frame, times: int, now: float = 0.0) -> int:
    """Return how many such frames are let through until the connection is refused."""
    data = bytearray(frame.serialize())
    for number in range(times):
        try:
            handled = made.allow(data, now)
        except RefusedConnectionError as error:
            refused = (error.code, error.reason)
        else:
            assert handled == len(data)
            continue
        assert refused == (ErrorCodes.ENHANCE_YOUR_CALM, FLOOD)
        return number
    return times


def data_frame(size: int, *flags: str) -> Frame:
    made = DataFrame(1, data=bytes(size))
    for flag in flags:
        made.flags.add(flag)
    return made


def headers(size: int) -> Frame:
    made = HeadersFrame(1, data=bytes(size))
    made.flags.add("END_HEADERS")
    return made


@pytest.mark.parametrize(
    ("frame", "budget"),
    [
        (SettingsFrame(0), BUDGET),
        (PingFrame(0, b"12345678"), BUDGET),
        (PriorityFrame(1, depends_on=3), BUDGET),
        (WindowUpdateFrame(0, window_increment=1), BUDGET),
        (ExtensionFrame(0xBB, 0), BUDGET),
        (data_frame(0), BUDGET),
        (data_frame(10), BUDGET),
        (headers(10), BUDGET),
        (RstStreamFrame(1), BUDGET / 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_frames_that_cost_a_server_are_let_through_so_often(frame: Frame, budget: float) -> None:
    assert allowed(gate(), frame, 10_000) == budget


def test_frames_are_let_through_again_after_a_time_and_for_calls_that_end() -> None:
    made = gate()
    ping = PingFrame(0)
    assert allowed(made, ping, int(BUDGET)) == BUDGET
    assert allowed(made, ping, 1000, now=2.0) == 2 * REFILL_PER_S
    made = gate()
    for _ in range(10_000):
        assert allowed(made, headers(50), 1) + allowed(made, data_frame(5), 1) == 2
        made.call_ended()


def test_data_in_large_pieces_and_at_the_end_of_a_stream_costs_nothing() -> None:
    made = gate()
    assert allowed(made, data_frame(1024), 10_000) == 10_000
    assert allowed(made, data_frame(0, "END_STREAM"), 10_000) == 10_000


def test_settings_cost_by_their_number() -> None:
    """h2 keeps each: one frame of 16 KiB has 2,730 of them."""
    many = SettingsFrame(0, settings=dict.fromkeys(range(1000, 3700), 1))
    assert allowed(gate(), many, 10) == 0
    assert allowed(gate(), SettingsFrame(0, settings={1: 0, 3: 100, 4: 65_535}), 100) == 100


def test_headers_without_end_are_refused() -> None:
    made = gate()
    assert allowed(made, HeadersFrame(1, data=bytes(16_000)), 1) == 1
    assert allowed(made, ContinuationFrame(1, data=bytes(16_000)), 10) == 1


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\0", b"PRI * HTTP/1", b"\x16\x03\x01"])
def test_what_is_no_http2_is_refused_by_its_first_bytes(data: bytes) -> None:
    with pytest.raises(RefusedConnectionError) as caught:
        FrameLimits(0.0).allow(bytearray(data), 0.0)
    assert (caught.value.code, caught.value.reason) == (ErrorCodes.PROTOCOL_ERROR, PROTOCOL)


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    with pytest.raises(RefusedConnectionError) as caught:
        gate().allow(bytearray(b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"), 0.0)
    assert caught.value.code is ErrorCodes.FRAME_SIZE_ERROR


def test_only_whole_frames_and_so_many_are_let_through() -> None:
    made = FrameLimits(0.0)
    assert made.allow(bytearray(PREFACE[:10]), 0.0) == 0
    assert not made.has_preface
    frame = data_frame(2000).serialize()
    assert made.allow(bytearray(PREFACE + frame[:-1]), 0.0) == len(PREFACE)
    assert made.allow(bytearray(frame[:5]), 0.0) == 0
    assert made.allow(bytearray(frame * 50 + frame[:9]), 0.0) == FRAMES_AT_ONCE * len(frame)
