"""One engine, kept serving: started, followed, restarted, held, stopped, adopted."""

import asyncio
import uuid
from types import MappingProxyType

import attrs

from vllmd import events
from vllmd.config.command import Command
from vllmd.config.gpus import visible_gpus
from vllmd.config.model import Engine
from vllmd.engine import exits, orphans
from vllmd.engine.exits import Exit
from vllmd.engine.gpu import refuse_restart
from vllmd.engine.incidents.recorder import Incidents, Sources
from vllmd.engine.ledger import Ledger
from vllmd.engine.restart.aftermath import Aftermath
from vllmd.engine.restart.dependencies import Dependencies
from vllmd.engine.restart.memory import Memory
from vllmd.engine.restart.turns import Turn
from vllmd.engine.runs import Runs
from vllmd.engine.shim_client import ShimClient
from vllmd.engine.site import Site
from vllmd.engine.state import Event, State
from vllmd.engine.status import EngineStatus
from vllmd.engine.stopping.drain import Drain
from vllmd.engine.watch import Probes, Stall, Watch
from vllmd.engine.wishes import Wishes
from vllmd.errors import HeldError, ShimError

ENDING = frozenset({State.DRAINING, State.STOPPING})
SERVING = frozenset({State.READY, State.SLEEPING})
ENDED = frozenset({State.STOPPED, State.BACKOFF, State.HELD})


class Supervisor:
    """The life of one engine. `run` does the work; `start`, `stop` and `restart` say what for."""

    def __init__(
        self,
        engine: Engine,
        command: Command,
        site: Site,
        probes: Probes,
        *,
        start_nothing: str | None = None,
        renew: bool = False,
    ) -> None:
        """Make a supervisor; with `start_nothing` (a reason) it adopts, follows and stops only.

        `renew` restarts an engine that is adopted with another command than it has now.
        """
        self._renew = renew
        self._start_nothing = start_nothing
        self._engine = engine
        self._command = command
        self._site = site
        self._probes = probes
        self._clock = clock = site.clock
        self._ledger = ledger = Ledger(
            engine.name,
            clock,
            Memory(site.state_dir / "engines" / f"{engine.name}.json", site.do_aside),
        )
        self._turn = Turn(
            *(site.turns, engine.name, visible_gpus(command.env), clock),
            has_room=site.gpu.has_room,
            activity=lambda: self._watch.activity(self._client.run) if self._client else None,
            phase=lambda: ledger.phase,
        )
        self._runs = Runs(engine, command, ledger, site)
        self._incidents = Incidents(
            site.state_dir / "incidents",
            ledger,
            clock,
            command,
            limit_s=engine.liveness.diagnose_s,
            sources=Sources(probes.pages, site.gpu.recent, site.mask),
        )
        self._watch = Watch(
            ledger,
            probes,
            clock,
            site.poll_s,
            engine.port,
            engine.liveness,
            site.gpu,
            self._incidents.before_kill,
            self._turn.give_back,
        )
        self._drain = Drain(engine, ledger, clock, probes.serving)
        self._aftermath = Aftermath(
            engine,
            command,
            ledger,
            clock=clock,
            chance=site.chance,
            dependencies=Dependencies(
                engine,
                command,
                folders=site.written(),
                gpu=site.gpu.fine,
                memory=site.gpu.has_room,
            ),
        )
        self._wanted = engine.autostart and engine.name not in site.stopped
        self._closing = False
        self._restart = False
        self._crashed = False
        self._adopted = False
        self._wishes = Wishes()
        self._heard = 0  # wishes that came before the end that is dealt with
        self._client: ShimClient | None = None
        self._next_start_at: float | None = None

    # --- what others ask of it -------------------------------------------------------------

    @property
    def status(self) -> EngineStatus:
        """What is known now."""
        ledger, known = self._ledger, self._ledger.known
        run = self._client.run if self._client else None
        loading = ledger.state is State.LOADING
        return EngineStatus(
            name=self._engine.name,
            state=ledger.state,
            since=ledger.since,
            wanted=self._wanted,
            model=self._engine.model,
            served_names=self._engine.served_names,
            url=self._engine.url,
            log=str(self._site.log_path),
            phase=ledger.phase if loading else None,
            phases=MappingProxyType(ledger.phase_durations()),
            start_left_s=ledger.start_left_s() if loading else None,
            sizes=MappingProxyType(dict(ledger.sizes)),
            max_num_seqs=self._engine.max_num_seqs,
            requests_running=ledger.requests[0] if ledger.requests else None,
            requests_waiting=ledger.requests[1] if ledger.requests else None,
            pid=run["engine_pid"] if run else None,
            shim_pid=run["shim_pid"] if run else None,
            run_id=run["run_id"] if run else None,
            started_at=run["started_at"] if run else None,
            start_duration_s=ledger.start_duration_s,
            adopted=self._adopted,
            command_hash=run["command_hash"] if run else None,
            command_changed=bool(run and run["command_hash"] != self._command.hash),
            restarts=known.restarts,
            exits=MappingProxyType(dict(known.exits)),
            causes=MappingProxyType(dict(known.causes)),
            transitions=MappingProxyType(dict(known.transitions)),
            last_exit=known.last_exit,
            first_failure=known.first_failure,
            hold=known.hold,
            next_start_at=self._next_start_at,
            problem=ledger.problem or self._start_nothing,
        )

    def start(self) -> None:
        """Want the engine to run, at once; a hold and all failures are forgiven."""
        self._wanted = True
        self._aftermath.forgive()
        self._wishes.add()
        self._site.stopped.discard(self._engine.name)

    def stop(self) -> None:
        """Want the engine to end, and to stay so until `start` or the next boot."""
        self._wanted = False
        self._restart = False
        self._wishes.add()
        self._site.stopped.add(self._engine.name)

    def restart(self) -> None:
        """Want the engine to end and to run again.

        Raises: HeldError: it runs, and could not start again.
        """
        name = self._engine.name
        if self._start_nothing and self._client is not None:
            raise HeldError(f"{name} runs, and would not start again: {self._start_nothing}")
        if self._ledger.state in SERVING:
            refuse_restart(self._site.gpu, name)
        self._restart = True
        self.start()

    async def saved(self) -> None:
        """Write down what is wanted. Raises: OSError: the next daemon will not know it."""
        await self._site.stopped.save()

    def span_ended(self, name: str, at: float) -> None:
        """Note a span of the start under way that ended at `at`, in seconds since the epoch."""
        self._watch.span_ended(name, at)

    def close(self) -> None:
        """Want the engine to end because the daemon does; `run` returns when nothing is left."""
        self._closing = True
        self._wishes.add()

    def let_go(self) -> None:
        """Leave the engine as it is, to be found by the next `run`, of this daemon or another."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._turn.give_back()
        self._ledger.begin_anew()

    # --- its life --------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the engine as it is wanted until `close`."""
        known = self._ledger.known
        known.last_exit = known.last_exit or self._runs.last_end()
        while True:
            self._heard = self._wishes.count
            client, ended = await self._runs.find(
                self._wishes, ending=lambda: self._must_stop, closing=lambda: self._closing
            )
            if ended is not None:
                await self._account(ended)
            if client is not None:
                self._adopt(client)
            elif not self._may_start:
                if self._ledger.state in (State.BACKOFF, State.HELD):
                    self._ledger.to(Event.STOP)
                if self._closing:
                    return
                await self._wishes.beyond(self._heard)
                continue
            elif await self._aftermath.still_held(self._site.gpu.mismatch()):
                await self._hold()
                continue
            else:
                await self._turn.wait(self._wishes, lambda: self._may_start, self._ledger.found)
                if not self._may_start:
                    continue
                client = await self._launch()
            if client is not None and (ended := await self._follow(client)) is not None:
                await self._account(ended)
            if self._ledger.state is State.BACKOFF:
                await self._pause()

    @property
    def _may_start(self) -> bool:
        return self._wanted and not self._closing and not self._start_nothing

    @property
    def _must_stop(self) -> bool:
        return self._closing or self._restart or not self._wanted

    def _adopt(self, client: ShimClient) -> None:
        self._client = client
        self._adopted = True
        run = client.run
        self._ledger.spawned(run["command_hash"], seen=False)
        self._turn.take(self._ledger.usual_start_s())
        self._ledger.log.info(
            events.ENGINE_ADOPTED,
            pid=run["engine_pid"],
            shim_pid=run["shim_pid"],
            run_id=run["run_id"],
            command_changed=run["command_hash"] != self._command.hash,
        )
        self._ledger.release("it runs")
        self._ledger.to(Event.ADOPTED)
        self._restart |= self._renew and run["command_hash"] != self._command.hash
        self._renew = False
        if self._restart and (mismatch := self._site.gpu.mismatch()):
            self._restart = False
            self._ledger.found(f"it goes on with its older command: {mismatch}")

    async def _launch(self) -> ShimClient | None:
        self._restart = False
        self._adopted = False
        self._ledger.problem = None
        self._ledger.spawned(self._command.hash, seen=True)
        self._ledger.to(Event.START)
        if self._crashed:
            self._ledger.known.restarts += 1
        self._turn.take(self._ledger.usual_start_s())
        run_id = uuid.uuid4().hex
        try:
            client = await self._runs.spawn(run_id)
        except (ShimError, OSError) as error:
            self._ledger.found(str(error))
            self._ledger.ended(exits.explain(self._runs.not_spawned(run_id, str(error)), ()))
            self._ledger.to(Event.SPAWN_FAILED)
            self._crashed = True
            self._turn.give_back()
            return None
        self._ledger.to(Event.SPAWNED)
        if client is None:
            run = self._runs.record()
            ended = self._runs.how_it_ended(run) if run else None
            await self._account(await ended if ended else self._runs.lost(run_id, []))
            return None
        self._client = client
        self._ledger.log.info(
            events.ENGINE_SPAWNED,
            pid=client.run["engine_pid"],
            shim_pid=client.run["shim_pid"],
            run_id=run_id,
            command=" ".join(self._command.masked_argv()),
        )
        return client

    async def _follow(self, client: ShimClient) -> Exit | None:
        """Watch a running engine until nothing of it is left; end it when asked to, or stalled.

        Returns: its end; None if only the connection to its shim ended, and it runs on.
        """
        stall: Stall | None = None
        watching = asyncio.create_task(self._watch.run(client.run, adopted=self._adopted))
        try:
            while not client.exited.done() and not self._must_stop and stall is None:
                self._heard = self._wishes.count
                waking = asyncio.ensure_future(self._wishes.beyond(self._heard))
                try:
                    await asyncio.wait(
                        {client.exited, waking, watching}, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    waking.cancel()
                if watching.done():
                    stall = watching.result()  # or it raises what broke the watch
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        phase = self._ledger.phase if self._ledger.state is State.LOADING else None
        if not client.exited.done():
            await self._end(client, stall)
        record = await client.exited
        if record is None and await self._runs.lives_on():
            self.let_go()
            return None
        ended = exits.from_record(record) if record else await self._runs.how_it_ended(client.run)
        client.close()
        self._client = None
        return (
            exits.stalled(ended, stall.label, stall.reason)
            if stall
            else attrs.evolve(ended, phase=phase)
        )

    async def _end(self, client: ShimClient, stall: Stall | None) -> None:
        """Stop the engine through its shim; a shim that cannot do it is killed, then its tree."""
        self._restart = False
        if stall is not None:
            gone = await self._drain.kill(client)
        else:
            gone = await self._drain.end(client)
        if not gone:
            orphans.kill_shim(client.run)

    async def _account(self, ended: Exit) -> None:
        """Write down an end, once, and prove it."""
        run = self._runs.record()
        if run is not None:
            ended = exits.witnessed(ended, self._site.gpu.seen(run["started_at"]))
        printed = await self._runs.printed(run)
        ended = exits.explain(exits.masked(ended, self._site.mask), printed)
        if run is not None and not ended.requested and not self._ledger.counted(ended):
            ended = exits.recorded(ended, self._incidents.after_end(run, ended, printed))
        self._probes.forget()
        self._ledger.ended(ended)
        self._crashed = not ended.requested
        if self._ledger.state not in ENDED | ENDING:  # red at once; a stop is over once proven
            self._ledger.to(Event.EXITED)
        await self._ledger.saved()
        self._runs.forget()
        await self._runs.prove(run, self._site.gpu.holders)
        self._turn.give_back()
        if self._ledger.state not in ENDED:
            self._ledger.to(Event.EXITED)

    def _hurried(self) -> bool:
        """Tell whether somebody wanted a start since the end that is dealt with."""
        hurried = self._wishes.count != self._heard and self._may_start
        if hurried:
            self._aftermath.forgive()
        return hurried

    async def _pause(self) -> None:
        """Wait after a failure, or decide to hold."""
        pause_s = await self._aftermath.decide()
        if not self._hurried() and pause_s is not None and not self._must_stop:
            self._next_start_at = self._clock.time() + pause_s
            await self._wishes.beyond_within(self._heard, pause_s, self._clock)
            self._next_start_at = None

    async def _hold(self) -> None:
        """Wait until the hold is over, or somebody wants something else."""
        if self._hurried():
            return
        if self._ledger.state is not State.HELD:
            self._ledger.to(Event.HOLD)
        self._next_start_at = hold.retry_at if (hold := self._ledger.known.hold) else None
        await self._aftermath.wait(self._wishes, self._heard)
        self._next_start_at = None
