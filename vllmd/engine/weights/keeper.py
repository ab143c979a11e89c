"""One engine's weights, kept in GPU memory: loaded before it starts, followed, renewed, given up.

An end of the engine changes nothing here. What is kept is given up when the engine is stopped or is
configured no more, and when other weights are needed at its next start: an engine that runs goes on
with those that it has mapped. It maps none that nobody compared.
"""

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
from vllmd.engine.weights.contents import Contents, difference
from vllmd.engine.weights.freshness import PROGRAM, Freshness, why_stale
from vllmd.engine.weights.kept_run import END_LOOKS, LOST_LOOKS, RETRY_S, KeptRun
from vllmd.engine.weights.load_watch import LoadWatch
from vllmd.engine.weights.state import WeightsState, WeightsStatus
from vllmd.errors import ShimError
from vllmd.events.base import emit
from vllmd.events.weights import WeightsNotLoaded, WeightsRenewed
from vllmd.shim.protocol import RunRecord

LOAD_LOOK_S = 0.5
FOLLOW_LOOK_S = 2.0
PATIENT_LOOKS = 3
"""So many looks a start waits for a shim that does not answer, before it is ended."""
SURE_LOOKS = LOST_LOOKS + 2
"""So many looks a start waits to know whether fewer are handed out: some may see nothing at all."""
MOST_LOADS = 3
"""For one start: files that change with each load are left to the engine."""
COMPARING = "its model's files are compared with those that its weights were loaded from"

_STATE_SAYS = {
    WeightsState.INCOMPLETE: "those of a GPU are gone",
    WeightsState.ENDING: "they are being given up",
}


class WeightKeeper:
    """What one engine's supervisor asks for weights; `follow` sees what becomes of them."""

    def __init__(self, engine: EngineConfig, command: Command, context: EngineContext) -> None:
        self._kept = KeptRun(engine, context)
        self.use(engine, command, context)
        self._log = structlog.get_logger().bind(engine=engine.name)
        self._freshness = Freshness()

    def use(self, engine: EngineConfig, command: Command, context: EngineContext) -> None:
        """Take over other settings: what is in memory stays until the engine's next start."""
        self._engine, self._command, self._context = engine, command, context
        self._kept.use(engine, context)

    @property
    def status(self) -> WeightsStatus | None:
        """What is known now; None where no weights are kept, nor to be."""
        kept = self._kept
        if self._command.weights is None and kept.state is WeightsState.ABSENT:
            return None
        run = kept.run
        return WeightsStatus(
            kept.state,
            kept.since.shown(self._context.clock),
            str(self._context.weights_log),
            preload.ranks(self._engine),
            kept.ranks_ready,
            run["engine_pid"] if run else None,
            kept.shim_pid,
            run["run_id"] if run else None,
            kept.stays,
            kept.problem,
        )

    @property
    def state(self) -> WeightsState:
        """How they stand now."""
        return self._kept.state

    @property
    def run(self) -> RunRecord | None:
        """What runs now; None if nothing does."""
        return self._kept.run

    @property
    def are_not_wanted(self) -> bool:
        """Whether some are in memory although the engine is configured without."""
        return self._command.weights is None and self._kept.state is not WeightsState.ABSENT

    def unhindered(self, wanted: Callable[[], bool]) -> Callable[[], bool]:
        """Return what tells that a start is wanted, and no weights are to be ended before it."""
        silent = WeightsState.UNRESPONSIVE
        return lambda: wanted() and not (self.are_not_wanted and self.state is not silent)

    # --- what the supervisor asks for -------------------------------------------------------

    async def look(self) -> None:
        """Find weights that are in memory already, and what is left of those that were."""
        await self._kept.find()

    def keep(self, *, stay: bool) -> None:
        """Say whether they stay when the engine is stopped; it outlives the daemon."""
        self._kept.keep(stay=stay)

    async def compare(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        """Read what a start would load, before its turn: that takes no GPU memory, only time.

        What did not change since then is not read again by `prepare`. It ends at once when no
        start is `wanted` any more, or one with other weights.
        """
        await self._hear(requests, wanted, say)
        command = self._command.weights
        if command is not None and wanted():
            with contextlib.suppress(OSError):  # `prepare` says so
                await self._contents(command, requests, wanted, lambda: say(COMPARING))

    async def prepare(
        self,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        say: Callable[[str], None],
        activity: Callable[[], ProcessActivity | None],
    ) -> bool:
        """Have in memory what the engine would load, or know why not; until no start is wanted.

        `say` is told what is waited for; `activity` is what a load under way has used.

        Returns: whether the engine may ask for weights: they are those that it would load, or
            nobody hands out any.
        """
        loads = 0
        while wanted():
            await self._hear(requests, wanted, say)
            command = self._command.weights
            if not await self._end_stale(command, requests, wanted):
                return self._not_loaded(sockets_cleared=False)
            if not wanted() or self._is_other_than(command):
                continue
            if command is None or self.state is WeightsState.READY:
                return command is not None
            if loads == MOST_LOADS:
                self._kept.problem = "the model's files change with each load"
                return self._not_loaded(sockets_cleared=await self._clear())
            if not await self._load(command, requests, wanted, say, activity):
                return self._not_loaded(sockets_cleared=await self._clear())
            loads += self._kept.state is WeightsState.READY
        return False

    async def release(
        self, requests: OperatorRequests, heard: int | None, *, needless: bool
    ) -> float | None:
        """Give up what is in memory; what was asked to stay only if it is `needless`.

        It is tried for a while; a wish beyond those `heard` ends that. None: the daemon ends, so
        nothing does, and nothing stays.

        Returns: None if nothing is left that was to be given up; else when to try again, in
            seconds.
        """
        kept = self._kept
        if not needless and heard is not None:
            if await kept.is_late():
                return RETRY_S
            if kept.stays:
                return None
        if kept.state is WeightsState.ABSENT:
            kept.problem = None  # it is about an end that is over
        gone = await self._end(lambda: heard is not None and requests.count != heard)
        return None if gone else RETRY_S

    async def follow(self) -> None:
        """See what becomes of them, until cancelled."""
        while True:
            await self._kept.see()
            await self._context.clock.sleep(FOLLOW_LOOK_S)

    def detach(self) -> None:
        """Leave them as they are, to be found by the next daemon."""
        self._kept.detach()

    # --- how it does that -------------------------------------------------------------------

    async def _hear(
        self, requests: OperatorRequests, wanted: Callable[[], bool], say: Callable[[str], None]
    ) -> None:
        """Wait for a shim that does not answer, and end it in the end: nothing starts beside it."""
        kept, looks = self._kept, 0
        await kept.find(ending=False)
        while wanted() and kept.state is WeightsState.UNRESPONSIVE:
            if looks == PATIENT_LOOKS + END_LOOKS:
                return
            say(f"its start waits for its weights: {kept.problem}")
            await requests.beyond_within(requests.count, RETRY_S, self._context.clock)
            looks += 1
            await kept.find(ending=looks > PATIENT_LOOKS)

    async def _contents(
        self,
        command: Command,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        goes_on: Callable[[], None] = lambda: None,
    ) -> Contents | None:
        """Read what a command would load, as it was read for what is in memory.

        Returns: None if it was given up, as that is not wanted any more.
        Raises: OSError: it cannot be read.
        """
        loaded = self._kept.loaded.load() if self._kept.run is not None else None
        whole = loaded.whole if loaded else self._engine.preload_verify == "full"
        reading = self._freshness.contents(
            self._engine, command, self._context, whole=whole, goes_on=goes_on
        )
        return await requests.unless(lambda: self._is_over(command, wanted), reading)

    def _is_over(self, command: Command, wanted: Callable[[], bool]) -> bool:
        return not wanted() or self._is_other_than(command)

    def _is_other_than(self, command: Command | None) -> bool:
        """Tell whether a reload wants weights that another command than `command` loads."""
        now = self._command.weights
        return (now.hash if now else None) != (command.hash if command else None)

    async def _end_stale(
        self, command: Command | None, requests: OperatorRequests, wanted: Callable[[], bool]
    ) -> bool:
        """End what the engine would not load; tell whether no such is left."""
        kept = self._kept
        if kept.state is WeightsState.ABSENT or not wanted():
            return True
        if kept.state is WeightsState.UNRESPONSIVE:
            return False
        why = await self._why_not(command, requests, wanted)
        if why is None:
            return True
        emit(self._log, WeightsRenewed(why=why))
        return await self._end(lambda: False)

    async def _why_not(
        self, command: Command | None, requests: OperatorRequests, wanted: Callable[[], bool]
    ) -> str | None:
        """Say why weights in memory are not to be used, as the end of a sentence; None if they are.

        What cannot be compared is not used: stale weights are worse than a load.
        """
        kept = self._kept
        if command is None:
            return "weights are not to be kept any more"
        await kept.see()
        looks = 0
        while wanted() and kept.may_be_fewer and looks < SURE_LOOKS:
            await self._context.clock.sleep(LOAD_LOOK_S)
            await kept.see()
            looks += 1
        if not wanted():
            return None
        run, loaded = kept.run, kept.loaded.load()
        why = _STATE_SAYS.get(kept.state)
        if why is None and run is not None:
            why = why_stale(run, loaded, command)
        if why is not None or loaded is None or run is None:
            return why
        try:
            now = await self._contents(command, requests, wanted)
        except OSError as error:
            return f"the model's files cannot be compared: {error}"
        return None if now is None else difference(loaded.contents, now)

    async def _load(
        self,
        command: Command,
        requests: OperatorRequests,
        wanted: Callable[[], bool],
        say: Callable[[str], None],
        activity: Callable[[], ProcessActivity | None],
    ) -> bool:
        """Load what a command loads, and follow that, until another is wanted.

        Returns: False if it failed.
        """
        kept = self._kept
        if self.state is WeightsState.ABSENT and not await self._begin(command, requests, wanted):
            return self._is_over(command, wanted)
        say("its weights are loaded first: 'vllmd logs --weights' shows how far they are")
        watch = LoadWatch(self._context, self._engine.liveness.load_stall_s, activity)
        while kept.state is WeightsState.LOADING and not self._is_over(command, wanted):
            known = requests.count
            await kept.see()
            if (stalled := await watch.look()) is not None:
                await self._end(lambda: False)
                kept.problem = f"their load was ended as it made no progress: {stalled}"
            elif kept.state is WeightsState.LOADING:
                await requests.beyond_within(known, LOAD_LOOK_S, self._context.clock)
        if kept.state is WeightsState.READY:
            await self._note_download(command, requests, wanted)
            return True
        return self._is_over(command, wanted)

    async def _begin(
        self, command: Command, requests: OperatorRequests, wanted: Callable[[], bool]
    ) -> bool:
        """Start to load; what they are loaded from is noted before. False: it was not begun."""
        kept = self._kept
        kept.problem = None
        try:
            await kept.runs.clear()
            contents = await self._contents(command, requests, wanted)
            if contents is None:
                return False
            whole = self._engine.preload_verify == "full"
            await kept.begin(command, contents, whole=whole)
        except (ShimError, OSError) as error:
            kept.problem = f"its weights could not be loaded ahead: {error}"
            return False
        return True

    async def _note_download(
        self, command: Command, requests: OperatorRequests, wanted: Callable[[], bool]
    ) -> None:
        """Note what was loaded, if the files came from the hub with this load."""
        loaded, run = self._kept.loaded.load(), self._kept.run
        if loaded is None or run is None or loaded.run_id != run["run_id"]:
            return
        if loaded.contents.keys() != {PROGRAM}:
            return
        with contextlib.suppress(OSError):  # they are loaded anew then
            contents = await self._contents(command, requests, wanted)
            if contents is not None:
                self._kept.loaded.save(attrs.evolve(loaded, contents=contents))

    async def _end(self, over: Callable[[], bool]) -> bool:
        """Give up what is in memory, for a while; tell whether nothing is left."""
        for look in range(END_LOOKS):
            if await self._kept.end():
                return True
            if over() or look == END_LOOKS - 1:
                break
            await self._context.clock.sleep(RETRY_S)
        return False

    async def _clear(self) -> bool:
        """Have nobody hand out anything; False if that is not sure."""
        try:
            await self._kept.runs.clear()
        except OSError as error:
            self._kept.problem = str(error)
            return False
        return self._kept.state is WeightsState.ABSENT

    def _not_loaded(self, *, sockets_cleared: bool) -> bool:
        if self._kept.problem is not None:
            emit(self._log, WeightsNotLoaded(problem=self._kept.problem))
        return sockets_cleared
