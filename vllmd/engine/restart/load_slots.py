"""Engines that share a GPU load one after another: two loads at once fight for the same memory.

Nobody waits for a load that stands still, for one that only uses CPU (NCCL and CUDA wait busily
when they hang), for one that takes far longer than it usually does, or for one that has all of its
memory while there is room for another.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator

import attrs

from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.liveness.stall_detector import LoadStallDetector
from vllmd.engine.loading.phases import ORDER
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.util.clock import Clock

MAX_WAIT_S = 900.0
"""How long an engine waits for another's load: a download of hours must not keep it down."""
LEAST_WAIT_S = 60.0
USUAL = 2.0
"""It waits for so many times what the other's starts usually take."""
STILL_S = 60.0
"""A load that does nothing for so long is waited for no more: no CPU, no bytes, no GPU memory."""
SPIN_S = 300.0
"""The same for one that only uses CPU: a hang, or a compilation, beside which another may load."""
LOOK_S = 5.0
ROOM_LOOK_S = 1.0
"""As often as the memory of GPUs is read."""
SETTLED = "warm_up"
"""The phase from which on a load takes no more memory that counts."""


@attrs.frozen(eq=False)
class LoadingEngine:
    """One engine that loads: what can be seen of it."""

    gpus: frozenset[str] | None = None
    """Those it loads on; None if that is not known: all."""
    usual_s: float | None = None
    """What its starts took; None if there was none."""
    activity: Callable[[], ProcessActivity | None] = lambda: None
    phase: Callable[[], str | None] = lambda: None

    def settled(self) -> bool:
        """Tell whether it has its memory."""
        return ORDER.get(self.phase() or "", -1) >= ORDER[SETTLED]


class LoadSlots:
    """Who loads now. An engine has a turn from its spawn until it is ready or gone."""

    def __init__(self) -> None:
        self._loading: dict[str, LoadingEngine] = {}
        self._changed = asyncio.Event()
        self._begun_last: asyncio.Event | None = None

    async def in_order(self, work: Awaitable[None]) -> None:
        """Wait for what is read before a first load, and until those who began before have theirs.

        So engines load in the order of the configuration, whichever file is read first. `work` has
        an end: one whose disk hangs holds up the others no longer.
        """
        before, done = self._begun_last, asyncio.Event()
        self._begun_last = done
        try:
            await work
            if before is not None:
                await before.wait()
        finally:
            done.set()

    def ahead_of(
        self, name: str, gpus: frozenset[str] | None
    ) -> Iterator[tuple[str, LoadingEngine]]:
        """Yield the engines that load now and share a GPU with `name`."""
        for other, load in list(self._loading.items()):
            shares = gpus is None or load.gpus is None or bool(gpus & load.gpus)
            if other != name and shares:
                yield other, load

    def take(self, name: str, load: LoadingEngine) -> None:
        """Note that `name` loads."""
        self._loading[name] = load

    def give_back(self, name: str) -> None:
        """Note that `name` does not load any more; nothing happens if it did not."""
        if self._loading.pop(name, None) is not None:
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    @property
    def changed(self) -> asyncio.Event:
        """Set when the next turn is given back."""
        return self._changed


@attrs.define
class _Wait:
    """One load that is waited for. `until` is monotonic, `words` say from when until when."""

    load: LoadingEngine
    until: float
    words: str
    still: LoadStallDetector = attrs.field(factory=lambda: LoadStallDetector(STILL_S, LOOK_S))
    spin: LoadStallDetector = attrs.field(factory=lambda: LoadStallDetector(SPIN_S, LOOK_S))
    phase: str | None = None

    def stands_still(self, now: float) -> bool:
        """Take note of one look; tell whether the load does nothing, or nothing but use CPU."""
        phase, self.phase = self.phase, self.load.phase()
        spoke, activity = phase != self.phase, self.load.activity()
        still = self.still.assess(now, spoke=spoke, activity=activity)
        spins = self.spin.assess(now, spoke=spoke, activity=_without_cpu(activity))
        return still is not None or spins is not None


class LoadSlot:
    """One engine's place among those."""

    def __init__(
        self,
        load_slots: LoadSlots,
        name: str,
        gpus: Collection[str] | None,
        clock: Clock,
        *,
        has_room: Callable[[], bool | None] = lambda: None,
        activity: Callable[[], ProcessActivity | None] = lambda: None,
        phase: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Make it; `has_room` tells whether as much GPU memory is free as the engine takes.

        `activity` and `phase` are of its own load, for others.
        """
        self._load_slots = load_slots
        self._name = name
        self._clock = clock
        self._activity = activity
        self._phase = phase
        self.behind: str | None = None
        """The engine whose load is waited for; None if none is."""
        self._passed: frozenset[LoadingEngine] = frozenset()
        self.use(gpus, has_room)

    def use(self, gpus: Collection[str] | None, has_room: Callable[[], bool | None]) -> None:
        """Say which GPUs the next start uses, None if that is not known, and who knows of room."""
        self._gpus = None if gpus is None else frozenset(gpus)
        self._has_room = has_room

    async def wait(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        say: Callable[[str], None],
        room: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Wait until no load is in the way and there is room, or the start is not wanted any more.

        What is wanted changes with one of the `requests`; `say` is told for whom it waits. `room`
        says what is in the way besides, and is asked last and often; "" is not worth telling.
        """
        try:
            await self._wait(requests, wanted, say, room)
        finally:
            self.behind = None
            self._passed = frozenset(self._ahead())

    def _ahead(self) -> Iterator[LoadingEngine]:
        for _, load in self._load_slots.ahead_of(self._name, self._gpus):
            yield load

    def is_overtaken(self) -> bool:
        """Tell whether a load has begun, since the last wait was over, that is to be waited for."""
        return any(load not in self._passed for load in self._ahead())

    async def _wait(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        say: Callable[[str], None],
        room: Callable[[], str | None],
    ) -> None:
        waits: dict[str, _Wait] = {}
        while wanted():
            words, look_s = self._in_the_way(waits), LOOK_S
            if words is None:
                words, look_s = room(), ROOM_LOOK_S
            if words is None:
                return
            if words:
                say(words)
            pending = (
                asyncio.ensure_future(self._load_slots.changed.wait()),
                asyncio.ensure_future(requests.beyond(requests.count)),
                asyncio.ensure_future(self._clock.sleep(look_s)),
            )
            try:
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in pending:
                    each.cancel()

    def _in_the_way(self, waits: dict[str, _Wait]) -> str | None:
        """Return for whom to wait, as a sentence; every load is looked at, each time."""
        now, found = self._clock.monotonic(), None
        self.behind = None
        for other, load in self._load_slots.ahead_of(self._name, self._gpus):
            if other not in waits or waits[other].load is not load:
                waits[other] = self._begin(other, load)
            wait = waits[other]
            over = wait.stands_still(now) or now >= wait.until
            if not over and not (load.settled() and self._has_room() is True) and found is None:
                self.behind, found = other, wait.words
        return found

    def _begin(self, other: str, load: LoadingEngine) -> _Wait:
        most_s = MAX_WAIT_S
        if load.usual_s is not None:
            most_s = min(MAX_WAIT_S, max(LEAST_WAIT_S, USUAL * load.usual_s))
        since = self._clock.time()
        words = (
            f"waits until {other} has loaded, with which it shares a GPU: since {_at(since)}, "
            f"until {_at(since + most_s)} at most, or until that load stands still"
        )
        return _Wait(load, self._clock.monotonic() + most_s, words)

    def take(self, usual_s: float | None = None) -> None:
        """Begin to load; `usual_s` is what that took until now."""
        self._load_slots.take(
            self._name, LoadingEngine(self._gpus, usual_s, self._activity, self._phase)
        )

    def give_back(self) -> None:
        """Load no more."""
        self._load_slots.give_back(self._name)


def _without_cpu(activity: ProcessActivity | None) -> ProcessActivity:
    """Return what a load has used besides CPU; nothing, if that is not known."""
    if activity is None:
        return ProcessActivity(0.0, 0.0, 0)
    return attrs.evolve(activity, api_cpu_s=0.0, core_cpu_s=0.0)


def _at(seconds: float) -> str:
    return time.strftime("%H:%M:%S UTC", time.gmtime(seconds))
