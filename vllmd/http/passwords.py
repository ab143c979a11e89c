"""Passwords, checked: off the event loop, one at a time, and what was found is remembered.

A check of bcrypt is slow by intent (70 ms at cost 10), and whoever reaches the port can ask for
one. So: one thread; after a wrong password it rests as long as it worked; only so many wait, and of
one client fewer still; the rest are told to come again. Clients that gave no wrong password come
first, so that guessing from many addresses keeps out nobody. A good password that was checked once
is looked up, and no number of wrong ones pushes it out.
"""

import asyncio
import contextlib
import enum
import hashlib
import ipaddress
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping

import attrs
import bcrypt

from vllmd.http.fair_queue import FairQueue
from vllmd.http.web_config import cost_of
from vllmd.util.clock import Clock

CACHED = 100
"""Good ones, and as many wrong ones, that are remembered; the exporter-toolkit keeps 100."""
WAITING = 256
"""As many as the exporter's port has connections."""
WAITING_FAILED = 16
"""Of those whose last password was wrong."""
WAITING_OF_ONE = 2
"""A client is an address, or for IPv6 a /64."""
LONGEST = 72
"""Bytes of a password that bcrypt looks at; bcrypt of Go leaves the rest out, as is done here."""
LONGEST_REST_S = 2.0
_DUMMY = "QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
_DUMMY_COST = 10


class LoginResult(enum.Enum):
    """What became of a login."""

    ACCEPTED = "accepted"
    WRONG = "wrong"
    BUSY = "busy"
    """Too many wait; nothing was checked."""


@attrs.define
class LoginCache:
    """Logins whose password was checked, by a keyed hash; it may outlive a daemon."""

    good: OrderedDict[bytes, None] = attrs.field(factory=OrderedDict, repr=False)
    wrong: OrderedDict[bytes, None] = attrs.field(factory=OrderedDict, repr=False)
    secret: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), repr=False)
    counts: Counter[LoginResult] = attrs.field(factory=Counter)

    def key(self, user: str, hashed: str, password: bytes) -> bytes:
        """Return what stands for a login; no password can be found from it."""
        digest = hashlib.blake2b(key=self.secret, digest_size=32)
        for part in (user.encode(errors="surrogateescape"), hashed.encode(), password):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def all_counts(self) -> dict[LoginResult, int]:
        """Return how many logins ended how, also where none did."""
        return {verdict: self.counts[verdict] for verdict in LoginResult}

    def find(self, key: bytes) -> LoginResult | None:
        """Return what was found out before, if anything."""
        for known, verdict in ((self.good, LoginResult.ACCEPTED), (self.wrong, LoginResult.WRONG)):
            if key in known:
                known.move_to_end(key)
                return verdict
        return None

    def keep(self, key: bytes, verdict: LoginResult) -> None:
        """Remember what was found out; the one that was not asked for the longest makes room."""
        known = self.good if verdict is LoginResult.ACCEPTED else self.wrong
        known[key] = None
        while len(known) > CACHED:
            known.popitem(last=False)


class Passwords:
    """Checks logins; belongs to one event loop."""

    def __init__(
        self,
        clock: Clock,
        remembered: LoginCache | None = None,
        check: Callable[[bytes, bytes], bool] = bcrypt.checkpw,
    ) -> None:
        self._clock = clock
        self._remembered = remembered or LoginCache()
        self._check = check
        self._turns = FairQueue(clock)
        self._pending: dict[bytes, asyncio.Task[LoginResult]] = {}
        self._of_client: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many checks wait or run."""
        return len(self._pending)

    async def verdict(
        self, users: Mapping[str, str], user: str, password: bytes, address: str
    ) -> LoginResult:
        """Say whether a user's password is right.

        An unknown user's takes as long, so that nobody learns from it which there are.
        """
        found = await self._verdict(users, user, password, address)
        self._remembered.counts[found] += 1
        return found

    async def _verdict(
        self, users: Mapping[str, str], user: str, password: bytes, address: str
    ) -> LoginResult:
        hashed = users.get(user) or dummy(users)
        key = self._remembered.key(user, hashed, password)
        if (known := self._remembered.find(key)) is not None:
            return known
        running = self._pending.get(key)
        if running is None:
            client = client_of(address)
            if not self._has_room(client):
                return LoginResult.BUSY
            self._of_client[client] += 1
            known_user = user in users
            running = asyncio.create_task(
                self._wait_and_check(client, key, hashed, password, known_user)
            )
            self._pending[key] = running
            running.add_done_callback(lambda _: self._forget(key, client))
        return await asyncio.shield(running)

    def _has_room(self, client: str) -> bool:
        if len(self._pending) >= WAITING or self._of_client[client] >= WAITING_OF_ONE:
            return False
        if not self._turns.has_failed(client):
            return True
        failed = (n for each, n in self._of_client.items() if self._turns.has_failed(each))
        return sum(failed) < WAITING_FAILED

    def _forget(self, key: bytes, client: str) -> None:
        del self._pending[key]
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]

    async def _wait_and_check(
        self, client: str, key: bytes, hashed: str, password: bytes, known_user: bool
    ) -> LoginResult:
        await self._turns.take(client)
        try:
            began = time.monotonic()
            try:
                right = await in_thread(lambda: self._check(password[:LONGEST], hashed.encode()))
            except RuntimeError:  # no thread is to be had
                return LoginResult.BUSY
            took_s = time.monotonic() - began
            verdict = LoginResult.ACCEPTED if right and known_user else LoginResult.WRONG
            self._remembered.keep(key, verdict)
            self._turns.note(client, wrong=verdict is LoginResult.WRONG)
            if verdict is LoginResult.WRONG:
                await self._clock.sleep(min(took_s, LONGEST_REST_S))
        finally:
            self._turns.give()
        return verdict


def client_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or a /64, which one machine can use up."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or found.exploded[:19])


def dummy(users: Mapping[str, str]) -> str:
    """Return a hash for users that do not exist, as costly as that of those who do."""
    cost = max((cost_of(each) for each in users.values()), default=_DUMMY_COST)
    return f"$2b${cost:02d}${_DUMMY}"


async def in_thread(work: Callable[[], bool]) -> bool:
    """Do work in a thread that nobody waits for when the process ends.

    Returns: what the work returned; False if it failed.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def settle(result: bool) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result = False
        try:
            result = work()
        finally:  # whatever happens, somebody waits for an answer
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="passwords", daemon=True).start()
    return await done
