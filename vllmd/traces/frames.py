"""HTTP/2 frames counted before anything is done with them. Pure.

A client may send what costs it little and a server much: streams that it resets at once, settings,
pings, empty data. Each such frame costs something of a budget; time and calls that end well give it
back.
Source: RFC 9113, "Frame Format" and "Denial-of-Service Considerations"; CVE-2023-44487.
"""

import struct

from h2.errors import ErrorCodes

from vllmd.http.connections import FLOOD, PROTOCOL

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_BYTES = 16_384
"""HTTP/2's default, and its least."""
MAX_HEADER_BYTES = 32_768
"""Of one block of headers, with its continuations."""
FRAMES_AT_ONCE = 16
"""Handled in one go: each takes some 0.1 ms."""

BUDGET = 200.0
REFILL_PER_S = 50.0
CALL_GIVES = 8.0
"""A call needs headers, a small rest of data, an update of the window and perhaps a ping."""
RESET_COSTS = 4.0
SETTINGS_BYTES = 60
"""Ten settings cost as much as a frame: there are seven that are known."""
SMALL_DATA_BYTES = 1024
"""Data in smaller pieces, not the last one of its stream, costs as much as a ping."""

_HEAD = struct.Struct(">HBBBI")
_DATA, _HEADERS, _RESET, _SETTINGS, _CONTINUATION = 0, 1, 3, 4, 9
_END_STREAM, _END_HEADERS = 0x1, 0x4


class RefusedConnectionError(Exception):
    """A connection has to be closed; `code` is said to the client, `reason` counted."""

    def __init__(self, code: ErrorCodes, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameLimits:
    """What one connection may send."""

    def __init__(self, now: float) -> None:
        self._budget = BUDGET
        self._at = now
        self._header_bytes = 0
        self.has_preface = False
        """Whether the preface came."""

    def call_ended(self) -> None:
        """Note that a call was answered."""
        self._budget = min(BUDGET, self._budget + CALL_GIVES)

    def allow(self, data: bytearray, now: float) -> int:
        """Return how many bytes of whole frames may be handled now; the clock is monotonic.

        Raises: RefusedConnectionError: it is no HTTP/2, or too much.
        """
        at = 0
        if not self.has_preface:
            if data[: len(PREFACE)] != PREFACE[: len(data)]:
                raise RefusedConnectionError(ErrorCodes.PROTOCOL_ERROR, PROTOCOL)
            if len(data) < len(PREFACE):
                return 0
            self.has_preface, at = True, len(PREFACE)
        self._budget = min(BUDGET, self._budget + (now - self._at) * REFILL_PER_S)
        self._at = now
        for _ in range(FRAMES_AT_ONCE):
            if len(data) - at < 9:
                break
            high, low, kind, flags, _ = _HEAD.unpack_from(data, at)
            size = high << 8 | low
            if size > MAX_FRAME_BYTES:
                raise RefusedConnectionError(ErrorCodes.FRAME_SIZE_ERROR, PROTOCOL)
            if len(data) - at < 9 + size:
                break
            at += 9 + size
            self._charge(kind, flags, size)
        return at

    def _charge(self, kind: int, flags: int, size: int) -> None:
        cost = 1.0
        if kind == _DATA:
            cost = 0.0 if size >= SMALL_DATA_BYTES or flags & _END_STREAM else 1.0
        elif kind == _RESET:
            cost = RESET_COSTS
        elif kind == _SETTINGS:
            cost += size / SETTINGS_BYTES
        elif kind in (_HEADERS, _CONTINUATION):
            self._header_bytes = size + (self._header_bytes if kind == _CONTINUATION else 0)
            if self._header_bytes > MAX_HEADER_BYTES:
                raise RefusedConnectionError(ErrorCodes.ENHANCE_YOUR_CALM, FLOOD)
        self._budget -= cost
        if self._budget < 0:
            raise RefusedConnectionError(ErrorCodes.ENHANCE_YOUR_CALM, FLOOD)
