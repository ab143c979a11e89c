"""This host's part of one group: what it tells, what it knows of the others, and what follows."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import structlog

from vllmd.config.group import GroupConfig, ThisHost
from vllmd.engine.exits import GROUP_LOST, Exit
from vllmd.engine.group_interface import EngineGroup, GroupEnd, GroupStatus
from vllmd.engine.liveness.rank_probe import AskRank, Heeds
from vllmd.engine.liveness.reading import Reading
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.status import EngineStatus
from vllmd.groups import rules
from vllmd.groups.failures import GroupFailures, end_of, own_trouble
from vllmd.groups.own import Identity, OwnEngine
from vllmd.groups.page import EndOfPart, GroupPage
from vllmd.groups.peers import PeerWatch
from vllmd.groups.ranks import GroupRanks
from vllmd.groups.rules import Decision, Limits, Own
from vllmd.groups.silence import Silences
from vllmd.groups.standing import status_of
from vllmd.groups.wishes import GroupWishes
from vllmd.util.clock import wait_event
from vllmd.util.loop_lag import LoopLag

FAST_S, SLOW_S = 2.0, 5.0
"""How often the others are asked: while something moves, and at rest."""


class GroupPart(EngineGroup):
    """One engine's; the rules decide, and the supervisor of the engine acts."""

    def __init__(
        self,
        engine: str,
        group: GroupConfig,
        rank: int,
        lag: LoopLag,
        own: Callable[[], OwnEngine],
    ) -> None:
        self.engine, self.is_member, self.has_members = engine, rank > 0, rank == 0
        self.group, self.rank = group, rank
        names = ",".join(host.name for host in group.hosts)
        kind = f"{group.mode} {group.ranks_per_host} {group.join_port}"
        self.place = f"{rank} of {names} {kind}"
        self.told = Identity("")
        self.limits = Limits()
        self.release_s = 60.0
        self.find_revision: Callable[[], str | None] = lambda: None
        self.program = ""
        self.api_port: int | None = None
        self._lag, self._clock, self._own = lag, lag.clock, own
        self._log = structlog.get_logger().bind(engine=engine)
        asked = group.hosts if rank == 0 else group.hosts[:1]
        self.peers = {
            place: PeerWatch(host, engine, place, lag.watched)
            for place, host in enumerate(asked)
            if place != rank
        }
        self._next = uuid.uuid4().hex
        self._at_gate = False
        self._going: str | None = None
        """A run that may begin, until it has."""
        self._leaving_since: float | None = None
        self._seen: set[str] = set()
        self._seen_in: str | None = None
        self._step = Decision()
        self._silences = Silences(self._log)
        self._end: tuple[str, GroupEnd] | None = None
        self._trouble: EndOfPart | None = None
        self._wishes = GroupWishes(self._log)
        self.ends_hung = True
        self.ranks: GroupRanks | None = None
        if rank == 0:
            self.ranks = GroupRanks(
                group, self.peers, lag, own, lambda: self._is_older, lambda: self.limits
            )
        self._failures = GroupFailures(group.hosts[rank].name, self.peers, lag, self._log)
        self._came = asyncio.Event()
        self._kick = asyncio.Event()

    # --- what others are told ----------------------------------------------------------------

    @property
    def host(self) -> str:
        """This host as it is named in the list."""
        return self.group.hosts[self.rank].name

    @property
    def _run(self) -> str | None:
        run = self._own().run_now
        if run is not None:
            self._going = None
            return run.run_id
        return self._going

    @property
    def _is_older(self) -> bool:
        """Whether what runs was started alone, or as another part: it is left alone."""
        run = self._own().run_now
        return run is not None and run.place != self.place

    @property
    def generation(self) -> str | None:
        """The generation of the run; without one the next one, or what a member is ready for."""
        run = self._run
        if run is not None and (self.is_member or self._is_older):
            return run.rpartition("-")[0] or run
        if self.is_member:
            page = self.peers[0].page
            return page.generation if page is not None else None
        return run or self._next

    def asked_by(self, address: str) -> None:
        """Note who asked for the page: a host that does is there, and reaches this one.

        An address that both have, as of a bridge (docker0), may be of this host's own containers.
        """
        own = ThisHost.look().all_addresses
        for peer in self.peers.values():
            peer.asked_by(address, own)

    def page(self) -> GroupPage:
        """Return what this host answers to the others."""
        own = self._own()
        status, runs = own.status, self._run is not None
        failed = self._failures.last or (None, None)
        return GroupPage(
            host=self.host,
            rank=self.rank,
            generation=self.generation,
            runs=runs,
            waits=self._at_gate and own.is_wanted and not runs,
            served=runs and own.has_served,
            wanted=own.is_wanted,
            older=self._is_older,
            state=str(status.state),
            for_s=max(0.0, self._clock.time() - status.since),
            gpus_busy=own.gpus_busy,
            idle_ranks=tuple(sorted(own.idle_ranks)),
            problem=status.hold.reason if status.hold else status.problem,
            wish=self._wishes.wish,
            refused=self._wishes.refused,
            ended=self._last_end(status),
            trouble=self._trouble,
            failure=failed[1],
            failed_host=failed[0],
            addresses=ThisHost.look().all_addresses,
            command_hash=self.told.command_hash,
            vllm=self.told.vllm,
            revision=self.told.revision,
        )

    def _last_end(self, status: EngineStatus) -> EndOfPart | None:
        end = status.last_exit
        if end is None:
            return None
        generation = end.run_id.rpartition("-")[0] if self.is_member else end.run_id
        return end_of(end, generation, self._clock.time())

    def was_failing(self, end: Exit) -> None:
        """Note how a run that the group ends would have ended by itself, for the head."""
        self._trouble = own_trouble(end, end.run_id.rpartition("-")[0], self._clock.time())

    def _last_generation(self, status: EngineStatus) -> str | None:
        """Return the generation of the run that there is, or of the last one."""
        if self._run is not None:
            return self.generation
        end = self._last_end(status)
        return end.generation if end is not None else None

    # --- what follows ------------------------------------------------------------------------

    def decide(self) -> None:
        """Look at what is known now, and have whoever waits for it know what follows."""
        own = self._own()
        if not own.looked.is_set():
            return
        if self.is_member:
            self._wishes.hear(self.peers[0].page, self.peers[0].asked_at)
        else:
            self._wishes.look([peer.page for peer in self.peers.values() if peer.page])
        step = self._decided(own)
        if step.act is not None and step.act != self._wishes.acted:
            self._wishes.act(own, step.act)
            if self._run is None:
                self._next = uuid.uuid4().hex
        run = self._run
        if step.end is not None and run is not None:
            self._end = run, GroupEnd(step.end, step.lost)
        self._step = step
        self._silences.look(self.peers.values(), self._lag.watched())
        if self.is_member:
            self._failures.hear(self.peers[0].page, self._last_generation(own.status))
        came, self._came = self._came, asyncio.Event()
        came.set()

    def _decided(self, own: OwnEngine) -> Decision:
        run, now = self._run, self._lag.watched()
        if self._is_older:
            return Decision()
        if run != self._seen_in:
            adopted = run is not None and own.has_served
            self._seen_in, self._seen = run, set()
            if adopted:
                self._seen = {peer.name for peer in self.peers.values()}
            for peer in self.peers.values():
                peer.begin()
        for peer in self.peers.values():
            page = peer.known().heard
            if run is not None and page and page.runs and page.generation == self.generation:
                self._seen.add(peer.name)
        leaving = self._leaving_since
        known = Own(
            generation=self.generation,
            runs=run is not None,
            served=run is not None and own.has_served,
            at_gate=self._at_gate and own.is_wanted,
            leaving_s=None if leaving is None else now - leaving,
            release_s=self.release_s,
            ended=self._last_end(own.status),
            ends_hung=self.ends_hung,
            hung=self.ranks.hung() if self.ranks is not None else None,
            acted=self._wishes.acted,
            seen=frozenset(self._seen),
        )
        if self.is_member:
            return rules.member(known, self.peers[0].known(), self.limits)
        members = {peer.name: peer.known() for peer in self.peers.values()}
        return rules.head(known, members, self.limits)

    def use_probe(self, ask: AskRank, heeds: Heeds) -> None:
        """Ask ranks so from now on."""
        if self.ranks is not None:
            self.ranks.use_probe(ask, heeds)

    def saw(self, reading: Reading) -> None:
        """Note what the head's page shows of its ranks."""
        if self.ranks is not None:
            self.ranks.saw(reading)

    # --- for the supervisor --------------------------------------------------------------------

    async def next_run(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        waits: Callable[[str], None],
        free: Callable[[], bool] = lambda: True,
    ) -> str | None:
        """Wait until the group lets a run begin; a member follows a head that has begun."""
        self._going, self._leaving_since = None, None
        self._at_gate, said = True, None
        self._kick.set()
        try:
            while wanted():
                known = requests.count
                self.decide()
                is_free = free()
                if self._step.start and (is_free or self.is_member):
                    self._going = self._new_run()
                    return self._going
                if not is_free:
                    return None
                if (why := self._step.waits_for or "waits for its group") != said:
                    waits(why)
                    said = why
                coming = asyncio.ensure_future(self._came.wait())
                try:
                    await requests.beyond_or(known, coming)
                finally:
                    coming.cancel()
            return None
        finally:
            self._at_gate = False

    def _new_run(self) -> str:
        if self.is_member:
            return f"{self.generation}-{self.rank}"
        run, self._next = self._next, uuid.uuid4().hex
        return run

    def launched(self) -> None:
        """Note that the run of `next_run` has begun, or will not: then nobody is to join it."""
        self._going = None

    async def until_end(self, run_id: str) -> GroupEnd:
        """Wait until the group ends that run."""
        self._kick.set()
        while self._end is None or self._end[0] != run_id:
            await self._came.wait()
        return self._end[1]

    async def release(self, run_id: str, exited: "asyncio.Future[Any]") -> str | None:
        """Wait until the head has ended the generation, or cannot be waited for any longer.

        Returns: why the head does not restart, if that is what it says.
        """
        if self._is_older:
            return None
        self._leaving_since = self._lag.watched()
        ending = asyncio.ensure_future(self.until_end(run_id))
        refusing = asyncio.ensure_future(self._until_refused())
        self._kick.set()
        try:
            await asyncio.wait({ending, refusing, exited}, return_when=asyncio.FIRST_COMPLETED)
            goes_on = refusing.done() and not (ending.done() or exited.done())
            return refusing.result() if goes_on else None
        finally:
            ending.cancel()
            refusing.cancel()
            self._leaving_since = None

    async def _until_refused(self) -> str:
        while (why := self._wishes.take_refusal()) is None:
            await self._came.wait()
        return why

    async def first_cause(self, end: Exit) -> Exit:
        """Ask all how their runs of that generation ended, and take the first of these ends."""
        lost = self._end[1].lost if self._end and end.label == GROUP_LOST else None
        return await self._failures.first_cause(end, lost, self._kick.set)

    async def joined(self) -> bool:
        """Tell whether the head serves with this member, and is connected to it."""
        if self._is_older:
            return self._own().has_served
        head = self.peers[0].known().heard
        if head is None or not (head.runs and head.served):
            return False
        return head.generation == self.generation and self.peers[0].is_connected

    def gets_on(self) -> bool:
        """Tell whether the load of the whole gets on, or stands still where others judge it."""
        if self._is_older:
            return False
        if self.is_member:
            return self.peers[0].is_connected
        pages = [(peer, peer.known().heard) for peer in self.peers.values()]
        return any(
            page and page.runs and page.generation == self.generation and not peer.is_connected
            for peer, page in pages
        )

    def wished(self, what: str) -> None:
        """Put what somebody wants here onto the page, for the head."""
        head = self.peers[0].page if self.is_member else None
        self._wishes.want(what, head, self._lag.watched())

    def status(self, state: str = "unknown") -> GroupStatus:
        """Return how the group stands; `state` is that of this host's part."""
        return status_of(
            self.engine,
            self.group,
            self.rank,
            state=state,
            told=self.told,
            generation=self.generation,
            peers=self.peers.values(),
            step=self._step,
            doubt=self.ranks.doubt() if self.ranks is not None else None,
            refused=self._wishes.last_refused,
            failed=self._failures.last,
        )

    @property
    def shim_pid(self) -> int | None:
        """The shim of the run; None if none runs."""
        return self._own().status.shim_pid if self._run is not None else None

    @property
    def pause_s(self) -> float:
        """How long to wait before the others are asked again."""
        status = self._own().status
        return SLOW_S if status.up and not self._wishes.is_wanting else FAST_S

    async def pause(self) -> None:
        """Wait so long, or until somebody needs to know at once."""
        if not await wait_event(self._kick, self.pause_s, self._clock):
            return
        self._kick.clear()
        await self._clock.sleep(0.2)
