"""The control socket's file, made anew when somebody removed it: else nobody could ask again."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from vllmd.control.server import listen
from vllmd.events.base import emit
from vllmd.events.requests import ControlSocketLost
from vllmd.util.clock import Clock, until_tick

LOOK_S = 2.0

_log = structlog.get_logger()


async def keep_there(path: Path, renew: Callable[[socket.socket], None], clock: Clock) -> None:
    """Look after the file until cancelled; `renew` gets the socket that takes its place.

    What somebody else put there stays.
    """
    said = False
    while True:
        await clock.sleep(until_tick(clock, LOOK_S))
        if os.path.lexists(path):
            said = False
            continue
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            _renew(path, renew)
        except OSError as error:
            if not said:
                emit(_log, ControlSocketLost(path=str(path), problem=str(error)), level="error")
            said = True
        else:
            emit(_log, ControlSocketLost(path=str(path), consequence="it is created again"))


def _renew(path: Path, renew: Callable[[socket.socket], None]) -> None:
    """Make the file, and have it served; one that nobody serves is not left there."""
    listener = listen(path)
    try:
        renew(listener)
    except OSError:
        listener.close()
        path.unlink(missing_ok=True)
        raise
