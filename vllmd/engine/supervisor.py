"""One engine, kept serving: started, followed, restarted, held, stopped, adopted."""

import asyncio

import attrs

from vllmd.config.gpus import visible_gpus
from vllmd.engine import assembly, exits
from vllmd.engine.assembly import EngineSettings, watch_of
from vllmd.engine.doubts import UNDER_WAY
from vllmd.engine.exits import Exit
from vllmd.engine.grouped_engine import GroupedEngine
from vllmd.engine.liveness.monitor import Stall
from vllmd.engine.liveness.rank_work import RankLooks
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.process import orphans
from vllmd.engine.process.run_state import Run
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.restart.late_start import LateStart
from vllmd.engine.sleeping.sleeper import Sleeper
from vllmd.engine.state_machine import ENDED, ENDING, State, Trigger
from vllmd.engine.status import EngineStatus, status_of
from vllmd.engine.weights.keeper import WeightKeeper
from vllmd.errors import ShimError
from vllmd.util.clock import Moment


class Supervisor(GroupedEngine):
    """The life of one engine. `run` does the work; `start`, `stop` and `restart` say what for."""

    def __init__(self, settings: EngineSettings) -> None:
        """Make a supervisor; its settings can be replaced while it runs."""
        engine, context = settings.engine, settings.context
        self._settings = settings
        self._name = engine.name
        self._stopped, self._clock = context.stopped, context.clock
        self._state = assembly.state_of(settings)
        self.answers = self._state.answers
        self._load_slot = assembly.load_slot_of(settings, self._state, self._activity)
        self._parts = assembly.assemble(settings, self._state)
        self.weights = WeightKeeper(engine, settings.command, context)
        self.sleeper = Sleeper(engine, context, settings.probes, self._state)
        self._watch = watch_of(settings, self._state, self._parts, self._load_slot.give_back)
        self._wanted = engine.autostart and engine.name not in context.stopped
        self._closing = self._leaving = self._restart = self._crashed = self._adopted = False
        self._late = LateStart(self._state, self._stopped, self._clock)
        self._requests, self._heard = OperatorRequests(), 0  # those before the end at hand
        self._client: ShimClient | None = None
        self._looks = RankLooks(self._clock.monotonic, self._activity)
        self._next_start_at: Moment | None = None
        self.looked = asyncio.Event()
        """Set once it is known whether the engine runs, and how it stands."""

    # --- what others ask of it -------------------------------------------------------------

    @property
    def status(self) -> EngineStatus:
        """What is known now."""
        return status_of(
            self._settings,
            self._state,
            self._client.run if self._client else None,
            wanted=self._wanted,
            adopted=self._adopted,
            awaited_load=self._load_slot.behind,
            next_start_at=at.shown(self._clock) if (at := self._next_start_at) else None,
            looked_for=self.looked.is_set(),
            weights=self.weights.status,
            sleep=self.sleeper.status,
        )

    @property
    def is_starting(self) -> bool:
        """Whether a start is under way."""
        return self._state.state in UNDER_WAY

    @property
    def run_now(self) -> Run | None:
        """What runs or is being started, as far as that is known."""
        return self._state.run if self.looked.is_set() else self._state.kept()

    def configure(self, settings: EngineSettings) -> None:
        """Take over other settings: what runs goes on, and so does a pause after a failure."""
        before, self._settings = self._settings, settings
        self._parts = assembly.assemble(settings, self._state, self._parts)
        assembly.redirect(self._watch, settings, self._parts)
        self.weights.use(settings.engine, settings.command, settings.context)
        self.sleeper.use(settings.engine, settings.context, settings.probes)
        self._load_slot.use(visible_gpus(settings.command.env), settings.context.gpu.has_room)
        if settings.engine.autostart and not before.engine.autostart:
            self._wanted = self._name not in self._stopped
        other = before.command.hash != settings.command.hash
        other = other or before.context.group is not settings.context.group
        if self._state.state in (State.STOPPED, State.HELD) or other:
            self._requests.add()

    def renew(self) -> None:
        """Restart an engine that runs with another command than it has now."""
        if self._client and self._client.run["command_hash"] != self._settings.command.hash:
            self._restart = True
            self._keep_if_driver_changed()
            if self._restart:
                self._group.wished("restart")
            self._requests.add()

    def _keep_if_driver_changed(self) -> None:
        """Give up a restart after which it could not start."""
        if self._restart and (mismatch := self._settings.context.gpu.mismatch()):
            self._restart = False
            self._state.found(f"it goes on with its older command: {mismatch}")

    def span_ended(self, name: str, at: float, *, failed: bool) -> None:
        """Note a span of the start under way that ended at `at`, in seconds since the epoch."""
        self._watch.span_ended(name, at, failed=failed)

    def detach(self) -> None:
        """Leave the engine as it is, to be found by the next `run`, of this daemon or another."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._load_slot.give_back()
        self.weights.detach()

    def _activity(self) -> ProcessActivity | None:
        run = self._client.run if self._client else self.weights.run
        return self._watch.activity(run) if run else None

    # --- its life --------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the engine as it is wanted until `close` or `leave`."""
        context = self._settings.context
        await context.load_slots.in_order(self._state.read_kept(context.within))
        known = self._state.known
        known.last_exit = known.last_exit or self._parts.runs.last_end()
        while not await self._has_left():
            self.sleeper.over()
            await self.weights.look()
            self._heard = self._requests.count
            client, ended = await self._parts.runs.find(
                self._requests,
                ending=lambda: self._must_stop,
                closing=lambda: self._closing or self._leaving,
            )
            if ended is not None:
                await self._account(ended)
            if client is not None:
                await self._adopt(client)
                self.looked.set()
                await self._see_through(client)
                continue
            self._state.begin_anew()
            if not self.looked.is_set():
                self.looked.set()
                self._settings.context.ended()
            if not self._may_start:
                if self._state.state in (State.WAITING, State.BACKOFF, State.HELD):
                    self._state.to(Trigger.STOP)
                if not self._wanted and not self._closing:
                    self._state.release("it was stopped")
            closing, again_s = self._closing, await self._release_weights()
            if closing and self._closing:  # a reload may want it again meanwhile
                return
            if not self._may_start:
                await self._requests.beyond_within(self._heard, again_s, self._clock)
            elif await self._late.is_to_wait(self._requests, self._heard):
                self._wanted = self._wanted and self._name not in self._stopped
            elif await self._parts.restarter.still_held(self._settings.context.gpu.mismatch()):
                await self._hold()
            else:
                await self._start()
        self.detach()

    async def _release_weights(self) -> float | None:
        """Give up weights that are wanted no more; returns when to try again, if some are left."""
        needless = self.weights.are_not_wanted and not self._settings.start_nothing
        if self._wanted and not (self._closing or needless):
            return None
        heard = None if self._closing else self._heard
        return await self.weights.release(self._requests, heard, needless=needless)

    async def _has_left(self) -> bool:
        """Tell whether the engine is let go of; weights of one that does not run are given up."""
        runs = self._client or self._parts.runs.record() or not self.looked.is_set()
        if self._leaving and not runs:
            await self.weights.release(self._requests, self._requests.count, needless=True)
        return self._leaving

    async def _start(self) -> None:
        """Start the engine when it is its turn, and see it through to its end."""
        room, found, wanted = self._parts.room, self._state.found, lambda: self._may_start
        await self.sleeper.wait_turn(wanted, found)
        await self._parts.runs.wait_for_disks(self._requests, wanted, found)
        await self.weights.compare(self._requests, wanted, found)
        may_wait = self.weights.unhindered(wanted)
        await self._load_slot.wait(self._requests, may_wait, found, room.look)
        room.end("it is not to start")
        if not may_wait():
            return
        part = self._group
        run_id = await part.next_run(
            self._requests,
            lambda: may_wait() and self._group is part,
            self._waits_for_group,
            lambda: not (self._load_slot.is_overtaken() or room.is_lost()),
        )
        if run_id is None:
            return
        try:
            self._load_slot.take(self._state.usual_start_s())
            maps = await self.weights.prepare(self._requests, wanted, found, self._activity)
            if not self._may_start or self._group is not part:
                return self._load_slot.give_back()
            client = await self._launch(run_id, maps)
        finally:
            part.launched()
        await self._see_through(client)

    async def _see_through(self, client: ShimClient | None) -> None:
        """Follow an engine to its end, if it has not come yet, and decide what comes then."""
        if client is not None:
            if (ended := await self._follow(client)) is None:
                return
            await self._account(ended)
        if self._state.state is State.BACKOFF:
            await self._pause()

    async def _adopt(self, client: ShimClient) -> None:
        """Go on with an engine that runs; one that somebody started is wanted."""
        self._client, self._adopted = client, True
        self._wanted = self._name not in self._stopped
        run, engine_state = client.run, self._state
        self._parts.runs.adopted(run)
        engine_state.release("it runs")
        self._keep_if_driver_changed()
        if engine_state.resume(run["run_id"], ending=bool(run.get("stopping"))):
            await self._go_on(client)
        else:
            same = run["command_hash"] == self._settings.command.hash
            place = self._group.place if same else None
            found = Run.of(run["run_id"], run["command_hash"], self._settings.engine, place)
            engine_state.spawned(found, seen=False)
            self._load_slot.take(self._state.usual_start_s())
            engine_state.to(Trigger.ADOPTED)

    async def _go_on(self, client: ShimClient) -> None:
        """Take up what an earlier daemon, or this one before a mistake, knew of a run."""
        engine_state = self._state
        if engine_state.state is State.STARTING:
            engine_state.to(Trigger.SPAWNED)
        if engine_state.state in ENDING:
            self._restart = True
        elif engine_state.has_served:
            await self._watch.look_first(client.run)
        else:
            self._load_slot.take(self._state.usual_start_s())

    async def _launch(self, run_id: str, maps_weights: bool) -> ShimClient | None:
        self._restart = self._adopted = False
        self._state.problem = None
        settings = self._settings
        run = Run.of(run_id, settings.command.hash, settings.engine, self._group.place)
        self._state.spawned(run, seen=True)
        self._state.to(Trigger.START)
        self._state.known.restarts += self._crashed
        self._load_slot.take(self._state.usual_start_s())
        try:
            client = await self._parts.runs.spawn(run_id, maps_weights=maps_weights)
        except (ShimError, OSError) as error:
            self._state.found(str(error))
            self._state.ended(exits.explain(self._parts.runs.not_spawned(run_id, str(error)), ()))
            self._state.to(Trigger.SPAWN_FAILED)
            self.sleeper.over()
            self._crashed = True
            self._load_slot.give_back()
            return None
        self._state.to(Trigger.SPAWNED)
        if client is None:
            await self._account(await self._parts.runs.how_it_ended_at_once(run_id))
            return None
        self._client = client
        return client

    async def _follow(self, client: ShimClient) -> Exit | None:
        """Watch a running engine until nothing of it is left; end it when asked to, or stalled.

        Returns: its end; None if only the connection to its shim ended, or it is left alone.
        """
        while True:
            stall, to_end = await self._watched(client)
            phase = self._state.phase if self._state.state is State.LOADING else None
            if client.exited.done():
                break
            if self._leaving and not self._must_stop and not to_end:
                return None
            if to_end and self._group.is_member:
                self._group.was_failing(await self._parts.runs.failing(client.run))
            if to_end or (self._must_stop and await self._leave_group(client)):
                await self._end(client, stall)
                break
        record, runs = await client.exited, self._parts.runs
        if record is None and await runs.lives_on(client.run):
            self.detach()
            return None
        # red at once: to end what is left, and to explain it, takes long
        self._state.is_over = True
        ended = exits.from_record(record) if record else await runs.how_it_ended(client.run)
        client.close()
        self._client = None
        if stall:
            return exits.stalled(ended, stall.label, stall.reason)
        return attrs.evolve(ended, phase=phase)

    async def _watched(self, client: ShimClient) -> tuple[Stall | None, bool]:
        """Watch a running engine until it ends, or is to end, or to be let go of.

        Returns: why it is to be killed, if it is; whether it is to end without being asked to.
        """
        stall: Stall | None = None
        watching = asyncio.create_task(self.sleeper.run(client.run, self._watch))
        grouped = asyncio.create_task(self._of_group(lambda g: g.until_end(client.run["run_id"])))
        to_end = False
        try:
            while not (client.exited.done() or self._must_stop or self._leaving or to_end):
                self._heard = self._requests.count
                await self._requests.beyond_or(self._heard, client.exited, watching, grouped)
                if watching.done():
                    stall = watching.result()  # or it raises what broke the watch
                elif grouped.done() and not client.exited.done():
                    stall = self._ends_with_group(grouped.result())
                to_end = stall is not None or grouped.done()
        finally:
            for each in (watching, grouped):
                each.cancel()
            await asyncio.gather(watching, grouped, return_exceptions=True)
        return stall, to_end

    async def _end(self, client: ShimClient, stall: Stall | None) -> None:
        """Stop the engine through its shim; a shim that cannot do it is killed, then its tree."""
        self._restart, drain = False, self._parts.drain
        gets_on = stall is None or stall.label == exits.WRONG_ANSWERS
        if not await (drain.end(client) if gets_on else drain.kill(client)):
            orphans.kill_shim(client.run)

    async def _account(self, ended: Exit) -> None:
        """Write down an end, once, and clean up after it."""
        run, context = self._parts.runs.record(), self._settings.context
        ended, printed = await self._parts.runs.explain(ended, run)
        if run is not None and not ended.requested and not self._state.counted(ended):
            ended = exits.recorded(ended, self._parts.incidents.after_end(run, ended, printed))
        self._settings.probes.forget()
        self._state.ended(self.sleeper.ended(ended))
        context.ended()
        self._crashed = not ended.requested
        if self._state.state not in ENDED | ENDING:  # a stop is over once proven
            self._state.to(Trigger.EXITED)
        await self._state.saved()
        self._parts.runs.forget()
        await self._parts.runs.clean_up(run, context.gpu.holders)
        self._load_slot.give_back()
        if self._state.state not in ENDED:
            self._state.to(Trigger.EXITED)

    def _start_requested(self) -> bool:
        """Tell whether somebody wanted a start since the end that is dealt with."""
        if requested := self._requests.count != self._heard and self._may_start:
            self._parts.restarter.forget_failures()
        return requested

    async def _pause(self) -> None:
        """Wait after a failure, or decide to hold."""
        if self._group.is_member:
            return  # failures of a group are counted once, by its head
        if (last := self._state.known.last_exit) is not None and not last.requested:
            self._state.known.last_exit = await self._group.first_cause(last)
        pause_s = await self._parts.restarter.decide()
        if not self._start_requested() and pause_s is not None:  # a stop ends it
            self._next_start_at = Moment.now(self._clock).after(pause_s)
            await self._requests.beyond_within(self._heard, pause_s, self._clock)
            self._next_start_at = None

    async def _hold(self) -> None:
        """Wait until the hold is over, or somebody wants something else."""
        if self._start_requested():
            return
        if self._state.state is not State.HELD:
            self._state.to(Trigger.HOLD)
        self._next_start_at = self._state.retry_at(self._settings.engine.restart.hold_retry_s)
        await self._parts.restarter.wait(self._requests, self._heard)
        self._next_start_at = None
