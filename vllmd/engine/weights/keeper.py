"""One engine's weights, kept in GPU memory: loaded before it starts, followed, renewed, given up.

An end of the engine changes nothing here. What is kept is given up when the engine is stopped or is
configured no more, and when other weights are needed at its next start: an engine that runs goes on
with those that it has mapped.
"""

import asyncio
import contextlib
from collections.abc import Callable

import attrs
import structlog

from vllmd.config import preload
from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine.context import EngineContext
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.weights import sockets
from vllmd.engine.weights.freshness import PROGRAM, Freshness
from vllmd.engine.weights.load_watch import LoadWatch
from vllmd.engine.weights.loaded import Loaded, LoadedFile
from vllmd.engine.weights.release import wait_until_free
from vllmd.engine.weights.runs import WeightsRuns
from vllmd.engine.weights.state import WeightsState, WeightsStatus
from vllmd.errors import ShimError
from vllmd.events.base import emit
from vllmd.events.weights import (
    WeightsAdopted,
    WeightsEnded,
    WeightsNotLoaded,
    WeightsRankLost,
    WeightsReady,
    WeightsReleased,
    WeightsRenewed,
    WeightsSpawned,
)
from vllmd.shim.protocol import RunRecord
from vllmd.util.clock import Moment

LOAD_LOOK_S = 0.5
FOLLOW_LOOK_S = 2.0
LOST_LOOKS = 3
"""So many looks in a row have to see fewer sockets: what was lost once is lost for good."""
_HAS_RUN = frozenset({WeightsState.LOADING, WeightsState.READY, WeightsState.INCOMPLETE})


class WeightKeeper:
    """What one engine's supervisor asks for weights; `follow` sees what becomes of them."""

    def __init__(self, engine: EngineConfig, command: Command, context: EngineContext) -> None:
        self.use(engine, command, context)
        self._log = structlog.get_logger().bind(engine=engine.name)
        self._loaded = LoadedFile(context.weights_directory, context.on_disk)
        self._freshness = Freshness()
        self._client: ShimClient | None = None
        self._state = WeightsState.ABSENT
        self._since = Moment.now(context.clock)
        self._ranks_ready = self._looks_at_fewer = 0
        self._problem: str | None = None
        self._kept = False
        self._changing = asyncio.Lock()

    def use(self, engine: EngineConfig, command: Command, context: EngineContext) -> None:
        """Take over other settings: what is in memory stays until the engine's next start."""
        self._engine, self._command, self._context = engine, command, context
        self._runs = WeightsRuns(engine.name, context)

    @property
    def status(self) -> WeightsStatus | None:
        """What is known now; None where no weights are kept, nor to be."""
        if self._command.weights is None and self._client is None:
            return None
        run = self.run
        return WeightsStatus(
            self._state,
            self._since.shown(self._context.clock),
            str(self._context.weights_log),
            preload.ranks(self._engine),
            self._ranks_ready,
            run["engine_pid"] if run else None,
            run["shim_pid"] if run else None,
            run["run_id"] if run else None,
            self._kept,
            self._problem,
        )

    @property
    def run(self) -> RunRecord | None:
        """What runs now; None if nothing does."""
        return self._client.run if self._client else None

    # --- what the supervisor asks for -------------------------------------------------------

    async def look(self) -> None:
        """Find weights that are in memory already, and what is left of those that were."""
        async with self._changing:
            if self._client is not None:
                return
            try:
                client = await self._runs.find()
            except (ShimError, OSError) as error:
                self._problem = str(error)
                return
            if client is None:
                return
            loaded = self._loaded.load()
            self._kept = loaded is not None and loaded.kept
            self._take(client)
            run = client.run
            adopted = WeightsAdopted(
                pid=run["engine_pid"], shim_pid=run["shim_pid"], run_id=run["run_id"]
            )
            emit(self._log, adopted)
            if loaded is not None and loaded.complete:
                self._ranks_ready = preload.ranks(self._engine)
                self._to(WeightsState.READY)
            self._count()

    def keep(self, *, stay: bool) -> None:
        """Say whether they stay when the engine is stopped; it outlives the daemon."""
        self._kept = stay
        loaded = self._loaded.load() if self._client is not None else None
        if loaded is not None and loaded.kept != stay:
            self._loaded.save(attrs.evolve(loaded, kept=stay))

    async def prepare(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        say: Callable[[str], None],
        activity: Callable[[], ProcessActivity | None],
    ) -> None:
        """Have in memory what the engine would load, or know why not; until no start is wanted.

        `say` is told what is waited for; `activity` is what a load under way has used.
        """
        await self.look()
        while True:
            command = self._command.weights
            await self._prepare(command, requests, wanted, say, activity)
            if not wanted() or not self._is_other_than(command):
                return

    async def release(self, *, kept_too: bool) -> None:
        """Give up what is in memory; with `kept_too` also if it was asked to stay."""
        if kept_too or not self._kept:
            if self._client is None:
                self._problem = None  # it is about an end that is over
            await self.look()
            await self._end()

    async def follow(self) -> None:
        """See what becomes of them, until cancelled."""
        while True:
            await self._see()
            await self._context.clock.sleep(FOLLOW_LOOK_S)

    def detach(self) -> None:
        """Leave them as they are, to be found by the next daemon."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # --- how it does that -------------------------------------------------------------------

    async def _prepare(
        self,
        command: Command | None,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        say: Callable[[str], None],
        activity: Callable[[], ProcessActivity | None],
    ) -> None:
        """Have in memory what one command loads, until another is wanted."""
        await self._give_up_stale(command)
        if command is None or not wanted():
            return
        if self._client is None:
            await self._load(command)
        if self._state is WeightsState.LOADING:
            say("its weights are loaded first: 'vllmd logs --weights' shows how far they are")
        watch = LoadWatch(self._context, self._engine.liveness.load_stall_s, activity)
        while wanted() and self._state is WeightsState.LOADING and not self._is_other_than(command):
            known = requests.count
            await self._see()
            if (stalled := await watch.look()) is not None:
                await self._end()
                self._problem = f"their load was ended as it made no progress: {stalled}"
            elif self._state is WeightsState.LOADING:
                await requests.beyond_within(known, LOAD_LOOK_S, self._context.clock)
        if self._state is WeightsState.READY and self._client is not None:
            await self._note_download(command, self._client.run["run_id"])
        elif wanted() and self._problem is not None:
            emit(self._log, WeightsNotLoaded(problem=self._problem))

    def _is_other_than(self, command: Command | None) -> bool:
        """Tell whether a reload wants weights that another command than `command` loads."""
        now = self._command.weights
        return (now.hash if now else None) != (command.hash if command else None)

    async def _give_up_stale(self, command: Command | None) -> None:
        client = self._client
        if client is None:
            return
        why: str | None = "weights are not to be kept any more"
        if command is not None:
            await self._see()
            for _ in range(LOST_LOOKS):
                if 0 < self._looks_at_fewer < LOST_LOOKS:
                    await self._context.clock.sleep(LOAD_LOOK_S)
                    await self._see()
            why = "those of a GPU are gone"
            if self._state is not WeightsState.INCOMPLETE:
                why = await self._freshness.why_stale(
                    client.run, self._loaded.load(), self._engine, command, self._context
                )
        if why is not None and self._client is not None:
            emit(self._log, WeightsRenewed(why=why))
            await self._end()

    async def _load(self, command: Command) -> None:
        """Start to load; what they are loaded from is noted before."""
        async with self._changing:
            self._problem = None
            whole = self._engine.preload_verify == "full"
            try:
                await self._runs.clear()
                contents = await self._freshness.contents(
                    self._engine, command, self._context, whole=whole
                )
                client = await self._runs.spawn(command)
            except (ShimError, OSError) as error:
                self._problem = f"its weights could not be loaded ahead: {error}"
                return
            run = client.run
            self._loaded.save(Loaded(run["run_id"], contents, whole, self._kept))
            self._take(client)
            emit(
                self._log,
                WeightsSpawned(
                    pid=run["engine_pid"],
                    shim_pid=run["shim_pid"],
                    run_id=run["run_id"],
                    command=" ".join(command.masked_argv()),
                ),
            )

    async def _note_download(self, command: Command, run_id: str) -> None:
        """Note what was loaded, if the files came from the hub with this load."""
        loaded = self._loaded.load()
        if loaded is None or loaded.run_id != run_id or loaded.contents.keys() != {PROGRAM}:
            return
        with contextlib.suppress(OSError):  # the next start loads them anew
            contents = await self._freshness.contents(
                self._engine, command, self._context, whole=loaded.whole
            )
            self._loaded.save(attrs.evolve(loaded, contents=contents))

    def _take(self, client: ShimClient) -> None:
        self._client, self._ranks_ready, self._looks_at_fewer = client, 0, 0
        self._to(WeightsState.LOADING)

    def _to(self, state: WeightsState) -> None:
        if state is not self._state:
            self._state, self._since = state, Moment.now(self._context.clock)

    async def _see(self) -> None:
        """Note what has become of them."""
        async with self._changing:
            client = self._client
            if client is None or self._state not in _HAS_RUN:
                return
            if client.exited.done():
                await self._account(client)
            else:
                self._count()

    def _count(self) -> None:
        """Note which of them are handed out; a look that fails says nothing."""
        wanted, before = preload.ranks(self._engine), self._ranks_ready
        now = sockets.listening(self._runs.folder)
        if now is None:
            return
        fewer = self._state is WeightsState.READY and now < before
        self._looks_at_fewer = self._looks_at_fewer + 1 if fewer else 0
        if 0 < self._looks_at_fewer < LOST_LOOKS:
            return
        self._ranks_ready = now
        if self._state is WeightsState.LOADING and now >= wanted:
            after_s = round(self._since.age_s(self._context.clock), 3)
            self._to(WeightsState.READY)
            emit(self._log, WeightsReady(ranks=now, after_s=after_s))
            loaded = self._loaded.load()
            if loaded is not None and not loaded.complete:
                self._loaded.save(attrs.evolve(loaded, complete=True))
        elif fewer:
            self._lost(before)

    def _lost(self, ranks: int) -> None:
        """Note that some of them are gone."""
        self._to(WeightsState.INCOMPLETE)
        left = self._ranks_ready
        consequence = "an engine that runs goes on; its next start loads all of them anew"
        emit(self._log, WeightsRankLost(ranks=ranks, left=left, consequence=consequence))

    async def _account(self, client: ShimClient) -> None:
        """Note an end, once; a shim that only closed its connection is followed on."""
        if await client.exited is None and await self._runs.lives_on(client.run):
            self.detach()
            found = await self._runs.find()
            if found is not None:
                self._client = found
                return
        self.detach()
        self._to(WeightsState.ABSENT)
        self._ranks_ready = 0
        try:
            end = await self._runs.how_they_ended(client.run)
            self._runs.forget()
        except TimeoutError as error:
            self._problem = f"{error}; a reboot may be needed"
            return
        why = end.diagnosis
        if not end.requested:
            cause = f" ({why.cause})" if why else ""
            words = attrs.evolve(end, killed=()).describe()
            self._problem = f"what kept them {words}{cause}; 'vllmd events' has more"
        emit(
            self._log,
            WeightsEnded(
                code=end.label,
                requested=end.requested,
                text=end.describe(),
                run_id=end.run_id,
                cause=why.cause if why else None,
                explanation=why.explanation if why else None,
                advice=why.advice if why else None,
                evidence=why.evidence if why else None,
                last_line=end.tail[-1] if end.tail else end.error,
            ),
            level="info" if end.requested else "error",
        )

    async def _end(self) -> None:
        """Give them up, and see that their memory is free."""
        async with self._changing:
            client, context = self._client, self._context
            if client is None:
                return
            self._to(WeightsState.ENDING)
            try:
                await self._runs.stop(client)
                await self._account(client)
            except TimeoutError as error:
                self._problem = f"{error}; a reboot may be needed"
            after_s, left = await wait_until_free(context.gpu.weights_holders, context.clock)
            emit(self._log, WeightsReleased(after_s=round(after_s, 3), in_the_way=left))
            if left:
                self._problem = "; ".join(left)
