"""Bodies unpacked within bounds: a small gzip may hold gigabytes."""

import zlib

from vllmd.units import KIB, MIB

MAX_BODY_BYTES = 16 * MIB
"""Of one request, unpacked: 50 times the largest batch of a stock vLLM (512 spans, 325 kB)."""

MAX_JSON_BYTES = 4 * MIB
"""JSON takes ten times its size in memory while it is read."""

ROOM_BYTES = 4 * MAX_BODY_BYTES
_STEP_BYTES = 256 * KIB
_GZIP = 31
"""`wbits` of zlib for a gzip member. Source: zlib manual."""


class TooLargeError(Exception):
    """A body is larger than is taken; sending it again does not help."""


class BusyError(Exception):
    """There is no room for another body now; there will be in a moment."""


class NotGzipError(Exception):
    """A body that should be gzip is not, or is cut off."""


class Room:
    """The bytes of bodies that are being worked on, all receivers together."""

    def __init__(self, size: int = ROOM_BYTES) -> None:
        self._free = size

    def take(self, count: int) -> None:
        """Reserve so many bytes.

        Raises: BusyError: they are not to be had now.
        """
        if count > self._free:
            raise BusyError
        self._free -= count

    def give(self, count: int) -> None:
        """Give reserved bytes back."""
        self._free += count


class Share:
    """What one request holds of the room; as a context it gives all of it back."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give(self._held)

    def take(self, count: int) -> None:
        """Reserve more. Raises: BusyError."""
        self._room.take(count)
        self._held += count


def gunzip(data: bytes, share: Share, limit: int = MAX_BODY_BYTES) -> bytes:
    """Unpack gzip, of several members too, never holding more than `limit` bytes of it.

    Raises: TooLargeError, BusyError; NotGzipError: it is something else, or not all of it.
    """
    unpacked = bytearray()
    while data:
        member = zlib.decompressobj(_GZIP)
        try:
            while not member.eof:
                block = member.decompress(data, _STEP_BYTES)
                data = member.unconsumed_tail
                if not block and not data and not member.eof:
                    raise NotGzipError("it is cut off")
                if len(unpacked) + len(block) > limit:
                    raise TooLargeError
                share.take(len(block))
                unpacked += block
        except zlib.error as error:
            raise NotGzipError(str(error)) from None
        data = member.unused_data.lstrip(b"\0")
    return bytes(unpacked)
