"""One replica after another is restarted: the next one only when the last has served for a while.

Whoever waits looks at the hosts' pages, and nothing but the restart itself goes by `fleet.command`.
So an ssh that breaks costs nothing, and what was begun ends by itself on its host.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from vllmd.config.fleet import FleetHost
from vllmd.errors import HeldError, TimedOutError, VllmdError
from vllmd.fleet.commands import HostRunner
from vllmd.fleet.replicas import HELD, Document, Replica, replicas_of
from vllmd.util.clock import Clock
from vllmd.util.units import format_duration

POLL_S = 1.0
COMMAND_S = 60.0
"""For `vllmd restart` over ssh, which asks the daemon and returns."""
Pages = Callable[[], Awaitable[Mapping[FleetHost, Document | Exception]]]


class RollTold(Protocol):
    """Who is told how it goes on."""

    def line(self, text: str) -> None:
        """Take what stays on the screen."""
        ...

    def now(self, text: str) -> None:
        """Take what is of this moment only."""
        ...


class BelowMinimumError(TimedOutError):
    """Too few other replicas are ready: nothing was done to this one."""


@attrs.frozen
class RollingSettings:
    """How far it may go."""

    min_ready: int = 1
    settle_s: float = 10.0
    timeout_s: float = 1800.0
    """For one replica, until it serves again."""
    younger_than_s: float | None = None
    """A run that is younger is not restarted: it was, by a roll that did not come to its end."""


@attrs.frozen
class Step:
    """What is to be done on a host before its replica is restarted, as words behind `vllmd`."""

    words: tuple[str, ...]
    limit_s: float = COMMAND_S


@attrs.define
class RollingRestart:
    """Restarts the replicas of one engine; what it has done stays in it, however it ends."""

    name: str
    pages: Pages
    run: HostRunner
    settings: RollingSettings
    clock: Clock
    told: RollTold
    steps: Sequence[Step] = ()
    """Done on each host before its restart."""
    is_done: Callable[[Replica], bool] = lambda _: False
    """Whether a replica is already as it is to be."""
    done: list[Replica] = attrs.field(factory=list)
    current: Replica | None = None
    """Under way now: its restart was asked for."""

    async def plan(self) -> list[Replica]:
        """Return the replicas in the order in which they will be restarted; tell who is left out.

        Those that do not serve come first: their restart costs nothing. Raises: VllmdError: a host
        does not answer, so that nobody knows what it has; UnknownEngineError.
        """
        pages = await self.pages()
        for host, page in pages.items():
            if isinstance(page, VllmdError):
                raise VllmdError(
                    f"{page}; nothing was restarted: mend it, or leave it out with --skip {host}"
                )
        found = replicas_of(self.name, pages)
        left = [replica for replica in found if self._is_left(replica)]
        return sorted((each for each in found if each not in left), key=lambda each: each.up)

    def _is_left(self, replica: Replica) -> bool:
        if not replica.wanted:
            self.told.line(
                f"{replica.label}: left as it is: it was stopped by hand, or has no autostart "
                f"('vllmd start {replica.name}' there starts it)"
            )
            return True
        age_s, limit_s = replica.run_age_s, self.settings.younger_than_s
        if limit_s is not None and age_s is not None and age_s < limit_s and replica.up:
            self.told.line(
                f"{replica.label}: left as it is: it was started {format_duration(age_s)} ago"
            )
            return True
        if self.is_done(replica) and replica.up:
            self.told.line(f"{replica.label}: left as it is: vLLM {replica.version} serves there")
            return True
        return False

    async def go(self, replicas: Sequence[Replica]) -> None:
        """Restart them one after another; the first that fails ends it.

        Raises: BelowMinimumError, HeldError, TimedOutError, HostCommandError, VllmdError.
        """
        for number, replica in enumerate(replicas, 1):
            others = await self._enough_others(replica)
            for step in self.steps:
                await self.run(replica.host, step.words, step.limit_s)
            before = await self._look(replica)
            if self.steps:  # they may have taken hours
                others = await self._enough_others(replica)
            self.current = replica
            await self.run(replica.host, ("restart", replica.name), COMMAND_S)
            self.told.line(
                f"{replica.label}: restart asked for ({number} of {len(replicas)}, {others} other "
                f"{'replica' if others == 1 else 'replicas'} ready)"
            )
            await self._until_green(replica, before)
            self.done.append(replica)
            self.current = None

    async def _enough_others(self, replica: Replica) -> int:
        """Return how many others are ready now. Raises: BelowMinimumError: too few."""
        found = replicas_of(self.name, await self.pages())
        others = sum(each.up for each in found if each.place != replica.place)
        if others < self.settings.min_ready:
            raise BelowMinimumError(
                f"{replica.label} was not restarted: {others} other replicas of {self.name} "
                f"are ready, and min_ready is {self.settings.min_ready}"
            )
        return others

    async def _look(self, replica: Replica) -> Replica:
        """Return it as it is now. Raises: VllmdError: its page is not to be had, or has it not."""
        page = (await self.pages())[replica.host]
        if isinstance(page, Exception):
            raise page
        for each in replicas_of(self.name, {replica.host: page}):
            if each.name == replica.name:
                return each
        raise VllmdError(f"{replica.label}: is configured there no more")

    async def _until_green(self, replica: Replica, before: Replica) -> None:
        """Wait until another run serves, and has served for longer than a balancer looks."""
        began = self.clock.monotonic()
        green_at: float | None = None
        seen = _failed_at(before)
        while True:
            now = self.clock.monotonic()
            said = ""
            try:
                found = await self._look(replica)
            except VllmdError as error:  # a daemon that restarts is away for a moment
                found, said, green_at = None, str(error), None
            if found is not None:
                _raise_if_failed(found, seen)
                said = f"{found.label}: {_shown(found)}"
                green = found.up and found.run_began not in (None, before.run_began)
                green_at = (now if green_at is None else green_at) if green else None
            if green_at is not None and now - green_at >= self.settings.settle_s:
                self.told.line(
                    f"{replica.label}: ready after {format_duration(green_at - began)}, and for "
                    f"{format_duration(now - green_at)} since"
                )
                return
            if green_at is None and now - began > self.settings.timeout_s:
                raise TimedOutError(
                    f"{said or replica.label}, not ready after {format_duration(now - began)}; it "
                    f"may still become so: 'vllmd status {replica.name}' there"
                )
            self.told.now(f"{said} ({format_duration(now - began)})")
            await self.clock.sleep(POLL_S)


def _shown(replica: Replica) -> str:
    phase = replica.engine.get("phase")
    return f"{replica.state} ({phase})" if phase else replica.state


def _failed_at(replica: Replica) -> Any:
    return replica.failure and replica.failure.get("at")


def _raise_if_failed(replica: Replica, seen: Any) -> None:
    """Raise why it will not serve: it is held, stopped meanwhile, or its start has failed."""
    why = f"'vllmd why {replica.name}' there says more"
    if replica.state == HELD:
        reason = (replica.engine.get("hold") or {}).get("reason") or "no reason is known"
        raise HeldError(f"{replica.label} is held: {reason}; {why}")
    if not replica.wanted:
        raise VllmdError(f"{replica.label} was stopped meanwhile")
    failure = replica.failure
    if failure and failure.get("at") != seen:
        found = failure.get("diagnosis") or {}
        said = found.get("explanation") or failure.get("text") or "no cause is known"
        raise VllmdError(f"{replica.label} failed: {said} {why}")
