"""Who asks much waits for himself: questions of one user are answered a few at a time."""

import asyncio
import os
import weakref

from starlette.types import ASGIApp, Receive, Scope, Send

from vllmd.control.peer import Peer

AT_ONCE = 4


class Turns:
    """An application that answers so many questions of a user at once.

    Not counted are those of root and of the daemon's own user, and what changes something: that
    may take long, and needs rights anyway.
    """

    def __init__(self, app: ASGIApp, at_once: int = AT_ONCE) -> None:
        self._app = app
        self._at_once = at_once
        self._users: weakref.WeakValueDictionary[int, asyncio.Semaphore] = (
            weakref.WeakValueDictionary()
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, once it is this user's turn."""
        peer: Peer = scope["client"][0]
        if scope["method"] != "GET" or peer.uid in (0, os.geteuid()):
            await self._app(scope, receive, send)
            return
        turn = self._users.get(peer.uid)
        if turn is None:
            turn = self._users[peer.uid] = asyncio.Semaphore(self._at_once)
        async with turn:
            await self._app(scope, receive, send)
