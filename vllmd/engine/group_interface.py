"""What a supervisor asks of the group that its engine is a part of: where one is connected.

Here is the part that is whole: an engine of one host.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import attrs

from vllmd.engine.exits import Exit
from vllmd.engine.liveness.rank_probe import AskRank, Heeds
from vllmd.engine.liveness.reading import Reading
from vllmd.engine.operator_requests import OperatorRequests

T = TypeVar("T")
UNREACHABLE, UNREADABLE = "unreachable", "unreadable"
"""In place of the state of a part, where its host is not heard of."""


@attrs.frozen
class GroupEnd:
    """Why a run is to end; `lost` is the host whose part was lost, which is a failure."""

    reason: str
    lost: str | None = None


@attrs.frozen
class AwaitedHost:
    """A host without which a group does not serve."""

    host: str
    """Host and port of its vllmd, as Prometheus and the others ask it."""
    state: str
    """Of its part; as in `GroupStatus.hosts`."""


@attrs.frozen
class GroupStatus:
    """How the group of an engine stands, as this host knows it."""

    role: str
    """`head` or `member`."""
    rank: int
    mode: str
    hosts: Mapping[str, str]
    """The state of each host's part; `unreachable` where its vllmd does not answer, `unreadable`
    where what it answers is no page for this host, `unknown` where it was not asked yet."""
    name: str = ""
    """The same on all hosts, and on no others: the engine and the head, as `big@gpu01`."""
    generation: str | None = None
    red: str | None = None
    """Why no new request is to come; None if they may."""
    doubt: str | None = None
    """What does not get on, and may only be busy."""
    waits_for: str | None = None
    """What the next start waits for."""
    awaited: AwaitedHost | None = None
    """The host that `waits_for` or `red` is about."""
    refused: str | None = None
    """What the head did not do of what somebody wanted here last, and why."""
    failed_host: str | None = None
    """On which host the last generation that failed ended first."""
    failure: str | None = None
    """How, in words."""
    differences: tuple[str, ...] = ()
    """What is not the same on all hosts, and ought to be."""
    silent: Mapping[str, str] = attrs.field(factory=dict)
    """Why, of each host whose page cannot be read."""
    size: int | None = None
    """How many hosts it has."""
    vllm: str | None = None
    """The version of vLLM that this host's part is started with; None if that is not known."""

    def to_json(self) -> dict[str, Any]:
        """Return what `vllmd status --json` prints."""
        hosts, silent = dict(self.hosts), dict(self.silent)
        return {**attrs.asdict(self), "id": self.id, "hosts": hosts, "silent": silent}

    @property
    def id(self) -> str:
        """The same on all hosts, and on no others, as the name; other hosts may know it."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]


class EngineGroup:
    """An engine of one host. One of several hosts answers more."""

    is_member = False
    """Whether its part has no API server."""
    has_members = False
    """Whether its part is a head."""
    place: str | None = None
    """The group and the rank in it, in words that are kept with each run; None of a whole one."""

    async def next_run(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        waits: Callable[[str], None],
        free: Callable[[], bool] = lambda: True,
    ) -> str | None:
        """Wait until the group lets a run begin; `waits` is told for what.

        `free` tells whether only the group is in the way: that may change in a wait of hours.

        Returns: the id of that run; None if no start is wanted any more, or more is in the way.
        """
        del requests, waits, free
        return uuid.uuid4().hex if wanted() else None

    def launched(self) -> None:
        """Note that the run of `next_run` has begun, or will not."""

    async def until_end(self, run_id: str) -> GroupEnd:
        """Wait until a run is to end because of the group, and return why."""
        del run_id
        await asyncio.Event().wait()
        raise AssertionError

    async def release(self, run_id: str, exited: "asyncio.Future[Any]") -> str | None:
        """Wait until a run that somebody wants to end may: a head turns red first, and drains.

        Returns: why a restart is none, if the head refuses it; None if the run may end.
        """
        del run_id, exited
        return None

    async def first_cause(self, end: Exit) -> Exit:
        """Return an end with the cause by which the group's generation ended first."""
        return end

    async def joined(self) -> bool:
        """Tell whether a part without an API serves."""
        return True

    def gets_on(self) -> bool:
        """Tell whether a load is known to get on although this part of it may not move."""
        return False

    def saw(self, reading: Reading) -> None:
        """Note what the engine's page shows."""

    def was_failing(self, end: Exit) -> None:
        """Note how a run that the group ends would have ended by itself."""

    def use_probe(self, ask: AskRank, heeds: Heeds) -> None:
        """Say how one data parallel rank is asked for a token."""

    def wished(self, what: str) -> None:
        """Note that somebody wants a `start` or a `restart` here."""

    def status(self, state: str = "unknown") -> GroupStatus | None:
        """Return how the group stands, with this part in that `state`; None if there is none."""
        del state
        return None


ALONE = EngineGroup()


async def of_newest(
    group: Callable[[], EngineGroup],
    requests: OperatorRequests,
    work: Callable[[EngineGroup], Awaitable[T]],
) -> T:
    """Wait for the `group`, and begin anew whenever it has become another one.

    A reload makes another, with one of the `requests`, and nobody tells the one before anything.
    """
    while True:
        part = group()
        task = asyncio.ensure_future(work(part))
        try:
            while not task.done() and group() is part:
                await requests.beyond_or(requests.count, task)
            if task.done():
                return task.result()
        finally:
            task.cancel()
