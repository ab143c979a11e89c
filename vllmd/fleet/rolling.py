"""One replica after another is restarted: the next one only when the last has served for a while.

Whoever waits looks at the hosts' pages, and nothing but the restart itself goes by `fleet.command`.
So an ssh that breaks costs nothing, and what was begun ends by itself on its host. Of a group the
steps are done on all hosts, and its head is restarted once.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import attrs

from vllmd.config.fleet import FleetHost
from vllmd.errors import HeldError, TimedOutError, VllmdError
from vllmd.fleet.commands import HostRunner
from vllmd.fleet.replicas import HELD, Document, Replica, all_engines, members_of, replicas_of
from vllmd.util.clock import Clock
from vllmd.util.units import format_duration

POLL_S = 1.0
WRONG = "wrong"
"""A verdict on answers."""
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
    """Whether a replica, or a part of a group, is as the steps are to make it."""
    done: list[Replica] = attrs.field(factory=list)
    current: Replica | None = None
    """Under way now: its restart was asked for."""
    _members: dict[tuple[FleetHost, str], tuple[Replica, ...]] = attrs.field(
        factory=dict, init=False
    )

    async def plan(self) -> list[Replica]:
        """Return the replicas in the order in which they will be restarted; tell who is left out.

        Those that do not serve come first: their restart costs nothing. Raises: VllmdError: a host
        does not answer, so that nobody knows what it has, or a host of a group is none of these;
        UnknownEngineError.
        """
        pages = await self.pages()
        for host, page in pages.items():
            if isinstance(page, VllmdError):
                raise VllmdError(
                    f"{page}; nothing was restarted: mend it, or leave it out with --skip {host}"
                )
        found = replicas_of(self.name, pages)
        self._members = {each.place: members_of(each, pages) for each in found}
        left = [replica for replica in found if self._is_left(replica)]
        wanted = [each for each in found if each not in left]
        for replica in wanted if self.steps else ():
            self._raise_if_incomplete(replica)
        return sorted(wanted, key=lambda each: each.up)

    def parts_of(self, replica: Replica) -> tuple[Replica, ...]:
        """Return it and the members of its group, as the plan saw them: each has the steps done."""
        return replica, *self._members.get(replica.place, ())

    def _raise_if_incomplete(self, replica: Replica) -> None:
        """Raise if its group has hosts that nobody here can ask: they would have another vLLM."""
        size, count = replica.group.get("size"), len(self.parts_of(replica))
        if size is not None and count < size:
            raise VllmdError(
                f"{replica.label}: its group has {size} hosts, and {count} of them are among those "
                "that are asked; nothing was done: name them all in fleet.hosts, and leave none "
                "out with --skip"
            )

    def _is_left(self, replica: Replica) -> bool:
        if not replica.wanted:
            self.told.line(
                f"{replica.label}: left as it is: it was stopped by hand, or has no autostart "
                f"('vllmd start {replica.name}' there starts it)"
            )
            return True
        if replica.is_asleep and not self.steps:
            self.told.line(
                f"{replica.label}: left as it is: it sleeps ('vllmd restart {replica.name}' there "
                "restarts and wakes it)"
            )
            return True
        age_s, limit_s = replica.run_age_s, self.settings.younger_than_s
        if limit_s is not None and age_s is not None and age_s < limit_s and replica.up:
            self.told.line(
                f"{replica.label}: left as it is: it was started {format_duration(age_s)} ago"
            )
            return True
        if replica.up and all(map(self.is_done, self.parts_of(replica))):
            self.told.line(f"{replica.label}: left as it is: vLLM {replica.version} serves there")
            return True
        return False

    async def go(self, replicas: Sequence[Replica]) -> None:
        """Restart them one after another; the first that fails ends it.

        Raises: BelowMinimumError, HeldError, TimedOutError, HostCommandError, VllmdError.
        """
        for number, replica in enumerate(replicas, 1):
            others = await self._enough_others(replica)
            for part in self.parts_of(replica):
                for step in self.steps:
                    await self.run(part.host, step.words, step.limit_s)
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
        return _seen(replica, await self.pages())

    async def _until_green(self, replica: Replica, before: Replica) -> None:
        """Wait until another run serves, and has served for longer than a balancer looks.

        Raises: VllmdError: it failed, its answers are wrong, or the steps have not shown.
        """
        began = self.clock.monotonic()
        green_at: float | None = None
        while True:
            now = self.clock.monotonic()
            parts: list[Replica] = []
            try:
                pages = await self.pages()
                parts = [_seen(each, pages) for each in self.parts_of(replica)]
            except VllmdError as error:  # a daemon that restarts is away for a moment
                said, green_at = str(error), None
            else:
                found = parts[0]
                _raise_if_failed(found, before)
                awaited = _awaited(found, before) or (self.steps and _unknown_version(parts)) or ""
                said = f"{found.label}: {_shown(found)}{f', {awaited}' if awaited else ''}"
                green = found.up and not awaited
                green_at = (now if green_at is None else green_at) if green else None
            if green_at is not None and now - green_at >= self.settings.settle_s:
                self._raise_if_not_done(parts)
                self.told.line(
                    f"{replica.label}: ready after {format_duration(green_at - began)}, and for "
                    f"{format_duration(now - green_at)} since"
                )
                return
            if green_at is None and now - began > self.settings.timeout_s:
                raise TimedOutError(
                    f"{said}, not ready after {format_duration(now - began)}; it may still become "
                    f"so: 'vllmd status {replica.name}' there"
                )
            self.told.now(f"{said} ({format_duration(now - began)})")
            await self.clock.sleep(POLL_S)

    def _raise_if_not_done(self, parts: Sequence[Replica]) -> None:
        """Raise if what serves now is not what the steps were for."""
        for part in parts if self.steps else ():
            if not self.is_done(part):
                words = " ".join(self.steps[-1].words)
                raise VllmdError(
                    f"{part.label} serves with vLLM {part.version} after '{words}': a program of "
                    f"its own (engines.{part.name}.executable) is not what is installed; 'vllmd "
                    "engine list' there says which one is current"
                )


def _seen(replica: Replica, pages: Mapping[FleetHost, Document | Exception]) -> Replica:
    """Return it as the pages have it. Raises: VllmdError: its page is away, or has it not."""
    page = pages[replica.host]
    if isinstance(page, Exception):
        raise page
    for each in all_engines({replica.host: page}):
        if each.name == replica.name:
            return each
    raise VllmdError(f"{replica.label}: is configured there no more")


def _awaited(found: Replica, before: Replica) -> str:
    """Return for what one that serves is waited for still; empty if for nothing."""
    if found.run_began in (None, before.run_began):
        return "not restarted yet"
    return "its answers are not looked at yet" if found.answers_awaited else ""


def _unknown_version(parts: Sequence[Replica]) -> str:
    """Return of which parts no version is known; empty if it is of all."""
    names = [part.label for part in parts if part.version is None]
    return f"no version is known of {', '.join(names)}" if names else ""


def _shown(replica: Replica) -> str:
    phase = replica.engine.get("phase")
    return f"{replica.state} ({phase})" if phase else replica.state


def _raise_if_failed(replica: Replica, before: Replica) -> None:
    """Raise why it will not serve: held, stopped meanwhile, failed, or its answers are wrong."""
    why = f"'vllmd why {replica.name}' there says more"
    if replica.state == HELD:
        reason = replica.engine.get("hold", {}).get("reason") or "no reason is known"
        raise HeldError(f"{replica.label} is held: {reason}; {why}")
    if not replica.wanted:
        raise VllmdError(f"{replica.label} was stopped meanwhile")
    failure = replica.failure
    if failure and failure.get("at") != (before.failure and before.failure.get("at")):
        found = failure.get("diagnosis", {})
        said = found.get("explanation") or failure.get("text") or "no cause is known"
        raise VllmdError(f"{replica.label} failed: {said} {why}")
    is_wrong = replica.verdict == WRONG and replica.run_began != before.run_began
    if is_wrong and (replica.is_withheld or before.verdict != WRONG):
        found = replica.engine.get("probe", {}).get("found") or "no more is known"
        raise VllmdError(
            f"{replica.label}: its answers are wrong since the restart: {found}; 'vllmd probe "
            f"{replica.name}' there shows what differs"
        )
