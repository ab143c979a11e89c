"""Who asks much waits for himself: questions of one user are answered a few at a time."""

import asyncio
import os

import attrs
from starlette.types import ASGIApp, Receive, Scope, Send

from vllmd.control.peer import Peer

AT_ONCE = 2
A_SECOND = 50.0
"""A few hundredths of a core, as the status is kept for a second (`bench/status.py`: half a
millisecond each with 20 engines); a program that watches asks once or twice."""
BURST_S = 1.0
"""What was not asked in so long may be asked at once."""
MAX_USERS = 64


@attrs.define
class _User:
    turn: asyncio.Semaphore
    next_at: float = 0.0
    asking: int = 0

    def wait_s(self, now: float) -> float:
        """Count one question. Returns: how long it has to wait."""
        self.next_at = max(self.next_at, now - BURST_S) + 1 / A_SECOND
        return max(0.0, self.next_at - now)


class UserLimits:
    """An application that answers so many questions of a user at once, and in a second.

    Not counted are those of root and of the daemon's own user, and what changes something: that
    may take long, and needs rights anyway.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._users: dict[int, _User] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, once it is this user's turn."""
        peer: Peer = scope["client"][0]
        if scope["method"] not in ("GET", "HEAD") or peer.uid in (0, os.geteuid()):
            await self._app(scope, receive, send)
            return
        user = self._of(peer.uid)
        user.asking += 1
        try:
            async with user.turn:
                wait_s = user.wait_s(asyncio.get_running_loop().time())
                if wait_s:
                    await asyncio.sleep(wait_s)
                await self._app(scope, receive, send)
        finally:
            user.asking -= 1

    def _of(self, uid: int) -> _User:
        if uid not in self._users and len(self._users) >= MAX_USERS:
            for other in [other for other, user in self._users.items() if not user.asking]:
                del self._users[other]
        return self._users.setdefault(uid, _User(asyncio.Semaphore(AT_ONCE)))
