"""What keeps one engine's weights now: found, counted, followed, ended. It decides nothing."""

import asyncio
import math

import attrs
import structlog

from vllmd.config import preload
from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.config.stop_time import SHIM_MARGIN_S, WEIGHTS_GRACE_S
from vllmd.engine.context import EngineContext
from vllmd.engine.exits import SHIM_LOST, Exit
from vllmd.engine.process import lost_shim
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.stopping.unresponsive_shim import UnresponsiveShim
from vllmd.engine.weights import sockets
from vllmd.engine.weights.contents import Contents
from vllmd.engine.weights.loaded import Loaded, LoadedFile
from vllmd.engine.weights.release import wait_until_free
from vllmd.engine.weights.runs import SilentShim, WeightsRuns
from vllmd.engine.weights.state import WeightsState
from vllmd.errors import ShimError
from vllmd.events.base import emit
from vllmd.events.weights import (
    WeightsAdopted,
    WeightsEnded,
    WeightsRankLost,
    WeightsReady,
    WeightsReleased,
    WeightsSpawned,
    WeightsUnresponsive,
)
from vllmd.shim.protocol import RunRecord
from vllmd.util.clock import Moment

RETRY_S = 5.0
"""How often to look again at what does not answer."""
PATIENCE = math.ceil((WEIGHTS_GRACE_S + SHIM_MARGIN_S) / RETRY_S)
"""So many looks an end may take before a shim that does not answer is killed."""
END_LOOKS = PATIENCE + 4
"""So many looks an end is tried: the shim is killed meanwhile, and then what it left."""
LOST_LOOKS = 3
"""So many looks in a row have to see fewer sockets: what was lost once is lost for good."""
COUNTED = frozenset({WeightsState.LOADING, WeightsState.READY, WeightsState.INCOMPLETE})


class KeptRun:
    """At most one run of `vllm preload`, and its state."""

    def __init__(self, engine: EngineConfig, context: EngineContext) -> None:
        self.use(engine, context)
        self._log = structlog.get_logger().bind(engine=engine.name)
        self.loaded = LoadedFile(context.weights_directory, context.on_disk)
        self._client: ShimClient | None = None
        self._silent: SilentShim | None = None
        self._unanswered = UnresponsiveShim(self._say, PATIENCE)
        self.state = WeightsState.ABSENT
        self.since = Moment.now(context.clock)
        self.ranks_ready = self._looks_at_fewer = 0
        self.problem: str | None = None
        self.stays = False
        """Whether they stay when the engine is stopped."""
        self._late = False
        """Whether what an earlier daemon was told of that could not be read yet."""
        self._ending = False
        self._look_again_at = 0.0
        self._changing = asyncio.Lock()

    def use(self, engine: EngineConfig, context: EngineContext) -> None:
        """Take over other settings."""
        self._engine, self._context = engine, context
        self.runs = WeightsRuns(engine.name, context)

    @property
    def run(self) -> RunRecord | None:
        """What runs now, as far as that is known; None if nothing does."""
        if self._client is not None:
            return self._client.run
        return self._silent.run if self._silent else None

    @property
    def shim_pid(self) -> int | None:
        """The shim; None if there is none, or it is not known."""
        if self._client is not None:
            return self._client.run["shim_pid"]
        return self._silent.pid if self._silent else None

    @property
    def may_be_fewer(self) -> bool:
        """Whether the last looks saw fewer sockets, and it is not sure yet."""
        return self.state is WeightsState.READY and 0 < self._looks_at_fewer < LOST_LOOKS

    # --- found, begun, let go of ------------------------------------------------------------

    async def find(self, *, ending: bool | None = None) -> None:
        """Find what is in memory already, and what is left of that which was.

        What does not answer is told; it is asked to end if it is `ending`, None: as before.
        """
        async with self._changing:
            if self._client is None:
                self._ending = self._ending if ending is None else ending
                await self._find()
            else:
                await self.loaded.read(self._context.within)

    async def begin(self, command: Command, contents: Contents, *, whole: bool) -> None:
        """Start to load; `contents` is what is loaded, by what was read before.

        Raises: ShimError, OSError: that could not be begun.
        """
        async with self._changing:
            client = await self.runs.spawn(command)
            run = client.run
            self.loaded.save(Loaded(run["run_id"], contents, whole, self.stays))
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

    def keep(self, *, stay: bool) -> None:
        """Say whether they stay when the engine is stopped; it outlives the daemon."""
        self.stays, self._late = stay, False
        loaded = self._loaded()
        if loaded is not None and loaded.kept != stay:
            self.loaded.save(attrs.evolve(loaded, kept=stay))

    async def is_late(self) -> bool:
        """Tell whether it is not known yet if they are to stay; what says so is read again."""
        if self._late:
            await self.loaded.read(self._context.within)
            loaded = self._loaded()
            self._late = self.loaded.late
            self.stays = loaded is not None and loaded.kept
        return self._late

    def detach(self) -> None:
        """Leave them as they are, to be found by the next daemon."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _find(self) -> None:
        self._look_again_at = self._context.clock.monotonic() + RETRY_S
        found = await self.runs.find()
        if isinstance(found, ShimClient):
            await self.loaded.read(self._context.within)
            self._adopt(found)
        elif isinstance(found, SilentShim):
            self._is_silent(found)
        elif found is not None:
            await self._account(found)
        elif self.state is not WeightsState.ABSENT:
            self.problem = None
            self._is_gone()

    def _adopt(self, client: ShimClient) -> None:
        run, self.problem = client.run, None
        self._take(client)
        loaded = self._loaded()
        self.stays, self._late = loaded is not None and loaded.kept, self.loaded.late
        emit(
            self._log,
            WeightsAdopted(pid=run["engine_pid"], shim_pid=run["shim_pid"], run_id=run["run_id"]),
        )
        if run.get("stopping"):
            self._to(WeightsState.ENDING)
        elif loaded is not None and loaded.complete:
            self.ranks_ready = preload.ranks(self._engine)
            self._to(WeightsState.READY)
        self._count()

    def _loaded(self) -> Loaded | None:
        """Return what is kept of this run; a record of another says nothing of it."""
        loaded, run = self.loaded.load(), self.run
        return loaded if loaded and run and loaded.run_id == run["run_id"] else None

    def _take(self, client: ShimClient) -> None:
        self._client, self._silent, self._ending = client, None, False
        self._hands_out_none()
        self._to(WeightsState.LOADING)

    def _to(self, state: WeightsState) -> None:
        if state is not self.state:
            self.state, self.since = state, Moment.now(self._context.clock)

    def _is_gone(self) -> None:
        self._silent, self._ending, self._late = None, False, False
        self._hands_out_none()
        self._to(WeightsState.ABSENT)

    def _hands_out_none(self) -> None:
        self.ranks_ready = self._looks_at_fewer = 0

    # --- without an answer ------------------------------------------------------------------

    def _is_silent(self, found: SilentShim) -> None:
        """Note that what keeps them cannot be asked, and do what is due."""
        name, pid = self._engine.name, found.pid
        end = f"'kill -9 {pid}' ends its shim" if pid else "'vllmd gpu' names who holds the memory"
        advice = f"'vllmd stop {name}' ends it, as the next start does; {end}"
        self.problem = f"{found.problem}: the weights may hold GPU memory; {advice}"
        if self._silent is None:
            self._unanswered = UnresponsiveShim(self._say, PATIENCE)
        if self._silent is None or self._silent.problem != found.problem:
            told = WeightsUnresponsive(shim_pid=pid, problem=found.problem, advice=advice)
            emit(self._log, told)
        self._silent = found
        self._hands_out_none()
        self._to(WeightsState.UNRESPONSIVE)
        if found.run is not None:
            self._unanswered.look(found.run, ending=self._ending)
        elif pid is not None:
            (lost_shim.ask_end if self._ending else lost_shim.ask_back)(pid)

    def _say(self, problem: str) -> None:
        self.problem = problem

    # --- followed ---------------------------------------------------------------------------

    async def see(self) -> None:
        """Note what has become of them."""
        async with self._changing:
            client = self._client
            if self.state is WeightsState.UNRESPONSIVE:
                if not self._ending and self._context.clock.monotonic() >= self._look_again_at:
                    await self._find()
            elif client is not None and client.exited.done():
                await self._follow_end(client)
            elif client is not None:
                self._count()

    async def _follow_end(self, client: ShimClient) -> None:
        """Note an end; a shim that only closed its connection is followed on."""
        if await client.exited is None and await self.runs.lives_on(client.run):
            self.detach()
            await self._find()
        else:
            await self._account(client.run)

    def _count(self) -> None:
        """Note which of them are handed out; a look that fails says nothing."""
        wanted, before = preload.ranks(self._engine), self.ranks_ready
        now = sockets.listening(self.runs.folder) if self.state in COUNTED else None
        if now is None:
            return
        fewer = self.state is WeightsState.READY and now < before
        self._looks_at_fewer = self._looks_at_fewer + 1 if fewer else 0
        if self.may_be_fewer:
            return
        self.ranks_ready = now
        if self.state is WeightsState.LOADING and now >= wanted:
            after_s = round(self.since.age_s(self._context.clock), 3)
            self._to(WeightsState.READY)
            emit(self._log, WeightsReady(ranks=now, after_s=after_s))
            loaded = self._loaded()
            if loaded is not None and not loaded.complete:
                self.loaded.save(attrs.evolve(loaded, complete=True))
        elif fewer:
            self._to(WeightsState.INCOMPLETE)
            consequence = "an engine that runs goes on; its next start loads all of them anew"
            emit(self._log, WeightsRankLost(ranks=before, left=now, consequence=consequence))

    async def _account(self, run: RunRecord) -> None:
        """Note an end, once; what a shim left that was killed is ended."""
        self.detach()
        if self.state is not WeightsState.UNRESPONSIVE:
            self._to(WeightsState.ENDING)
        self._hands_out_none()
        try:
            end = await self.runs.how_they_ended(run)
        except OSError as error:
            self._is_silent(SilentShim(f"{error}; a reboot may be needed", run, None))
            return
        if end.label == SHIM_LOST and self._ending:
            end = attrs.evolve(end, requested=True)
        self.runs.forget()
        self.problem = None if end.requested else _of_an_end(end)
        self._is_gone()
        why = end.diagnosis
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

    # --- ended ------------------------------------------------------------------------------

    async def end(self) -> bool:
        """Give them up, and see that their memory is free; one look where nobody answers.

        Returns: whether nothing is left.
        """
        async with self._changing:
            was = self.state
            if self._client is None:
                self._ending = True
                await self._find()
            if self._client is not None:
                await self._stop(self._client)
            if self.state is not WeightsState.ABSENT:
                return False
            if was is not WeightsState.ABSENT:
                await self._free()
            return True

    async def _stop(self, client: ShimClient) -> None:
        self._ending = True
        self._to(WeightsState.ENDING)
        try:
            await self.runs.stop(client)
        except (ShimError, OSError) as error:
            self._say(str(error))  # what is left is ended as that of a shim that was killed
        if client.exited.done() and client.exited.result() is None:
            await self._follow_end(client)
        else:
            await self._account(client.run)

    async def _free(self) -> None:
        context = self._context
        after_s, left = await wait_until_free(context.gpu.weights_holders, context.clock)
        emit(self._log, WeightsReleased(after_s=round(after_s, 3), in_the_way=left))
        if left:
            self.problem = "; ".join(left)


def _of_an_end(end: Exit) -> str:
    cause = f" ({end.diagnosis.cause})" if end.diagnosis else ""
    return (
        f"what kept them {attrs.evolve(end, killed=()).describe()}{cause}; 'vllmd events' has more"
    )
