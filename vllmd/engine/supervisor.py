"""One engine, kept serving: started, followed, restarted, stopped, adopted."""

import asyncio
import uuid
from pathlib import Path
from types import MappingProxyType

from vllmd import events
from vllmd.clock import Clock, wait_event
from vllmd.config.command import Command
from vllmd.config.model import Engine
from vllmd.engine import exits, orphans
from vllmd.engine.backoff import Backoff
from vllmd.engine.desired import StoppedEngines
from vllmd.engine.exits import Exit
from vllmd.engine.follow import read_last_lines
from vllmd.engine.ledger import Ledger
from vllmd.engine.shim_client import ShimClient
from vllmd.engine.spawner import Spawner
from vllmd.engine.state import Event, State
from vllmd.engine.status import EngineStatus
from vllmd.engine.watch import Probes, Watch
from vllmd.errors import ShimError
from vllmd.shim import protocol
from vllmd.shim.protocol import RunRecord, Spec
from vllmd.units import KIB

STOP_MARGIN_S = 15.0
"""How much longer than its grace a stop may take before the shim itself is taken for dead."""
RETRY_S = 5.0
"""How often to look again at what only a person can mend."""
ENDING_S = 0.1
TAIL_BYTES = 64 * KIB


class Supervisor:
    """The life of one engine. `run` does the work; `start`, `stop` and `restart` say what for."""

    def __init__(
        self,
        engine: Engine,
        command: Command,
        *,
        directory: Path,
        log_path: Path,
        spawner: Spawner,
        stopped: StoppedEngines,
        probes: Probes,
        clock: Clock,
        poll_s: float,
        start_nothing: str | None = None,
    ) -> None:
        """Make a supervisor; with `start_nothing` (a reason) it adopts, follows and stops only."""
        self._start_nothing = start_nothing
        self._engine = engine
        self._command = command
        self._directory = directory
        self._log_path = log_path
        self._spawner = spawner
        self._stopped = stopped
        self._probes = probes
        self._clock = clock
        self._ledger = Ledger(engine.name, clock)
        self._watch = Watch(self._ledger, probes, clock, poll_s, engine.port)
        self._backoff = Backoff(engine.restart)
        self._wanted = engine.autostart and engine.name not in stopped
        self._closing = False
        self._restart = False
        self._crashed = False
        self._adopted = False
        self._wake = asyncio.Event()
        self._client: ShimClient | None = None
        self._next_start_at: float | None = None

    # --- what others ask of it -------------------------------------------------------------

    @property
    def status(self) -> EngineStatus:
        """What is known now."""
        ledger = self._ledger
        run = self._client.run if self._client else None
        return EngineStatus(
            name=self._engine.name,
            state=ledger.state,
            since=ledger.since,
            wanted=self._wanted,
            model=self._engine.model,
            served_names=self._engine.served_model_name or (self._engine.model,),
            url=self._engine.url,
            log=str(self._log_path),
            phase=ledger.phase if ledger.state is State.LOADING else None,
            pid=run["engine_pid"] if run else None,
            shim_pid=run["shim_pid"] if run else None,
            run_id=run["run_id"] if run else None,
            started_at=run["started_at"] if run else None,
            start_duration_s=ledger.start_duration_s,
            adopted=self._adopted,
            command_changed=bool(run and run["command_hash"] != self._command.hash),
            restarts=ledger.restarts,
            exits=MappingProxyType(dict(ledger.exits)),
            last_exit=ledger.last_exit,
            first_failure=ledger.first_failure,
            next_start_at=self._next_start_at,
            problem=ledger.problem or self._start_nothing,
        )

    def start(self) -> None:
        """Want the engine to run, at once.

        Raises: OSError: it runs, but that could not be written down for the next daemon.
        """
        self._wanted = True
        self._backoff.reset()
        self._wake.set()
        self._stopped.discard(self._engine.name)

    def stop(self) -> None:
        """Want the engine to end, and to stay so until `start` or the next boot.

        Raises: OSError: it stops, but that could not be written down for the next daemon.
        """
        self._wanted = False
        self._restart = False
        self._wake.set()
        self._stopped.add(self._engine.name)

    def restart(self) -> None:
        """Want the engine to end and to run again.

        Raises: OSError: as `start`.
        """
        self._restart = self._client is not None
        self.start()

    def close(self) -> None:
        """Want the engine to end because the daemon does; `run` returns when nothing is left."""
        self._closing = True
        self._wake.set()

    def let_go(self) -> None:
        """Leave the engine as it is, to be found by the next `run`, of this daemon or another."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._ledger.begin_anew()

    # --- its life --------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the engine as it is wanted until `close`."""
        record = orphans.read_last_exit(self._directory)
        self._ledger.last_exit = exits.explain(exits.from_record(record), ()) if record else None
        while True:
            client = await self._find()
            if client is not None:
                self._adopt(client)
            elif self._closing or not self._wanted or self._start_nothing:
                if self._ledger.state is State.BACKOFF:
                    self._ledger.to(Event.STOP)
                if self._closing:
                    return
                await self._wake.wait()
                self._wake.clear()
                continue
            else:
                client = await self._launch()
            if client is not None:
                self._account(await self._follow(client))
            if self._ledger.state is State.BACKOFF:
                await self._pause()

    async def _find(self) -> ShimClient | None:
        """Look for a shim that runs this engine, and for what one left that was killed."""
        while True:
            try:
                client = await ShimClient.connect(self._directory)
            except ShimError as error:
                self._ledger.found(str(error))
                await wait_event(self._wake, RETRY_S, self._clock)
                if self._closing:
                    return None
                self._wake.clear()
                continue
            run = orphans.read_run(self._directory)
            if client is not None or run is None:
                return client
            if not orphans.shim_alive(run):
                self._account(await self._how_it_ended(run))
                return None
            await self._clock.sleep(ENDING_S)  # it is just ending: its record comes

    def _adopt(self, client: ShimClient) -> None:
        self._client = client
        self._adopted = True
        self._ledger.start_duration_s = None
        self._ledger.log.info(
            events.ENGINE_ADOPTED,
            pid=client.run["engine_pid"],
            shim_pid=client.run["shim_pid"],
            run_id=client.run["run_id"],
            command_changed=client.run["command_hash"] != self._command.hash,
        )
        self._ledger.to(Event.ADOPTED)

    async def _launch(self) -> ShimClient | None:
        self._restart = False
        self._adopted = False
        self._ledger.start_duration_s = None
        self._ledger.to(Event.START)
        if self._crashed:
            self._ledger.restarts += 1
        run_id = uuid.uuid4().hex
        try:
            await self._spawner.spawn(self._spec(run_id))
            client = await ShimClient.connect(self._directory)
        except (ShimError, OSError) as error:
            self._spawn_failed(run_id, str(error))
            return None
        self._ledger.to(Event.SPAWNED)
        if client is None:  # it ran, and ended before we could look
            run = orphans.read_run(self._directory)
            self._account(await self._how_it_ended(run) if run else self._lost(run_id, []))
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

    def _spec(self, run_id: str) -> Spec:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            "protocol": protocol.PROTOCOL,
            "engine": self._engine.name,
            "run_id": run_id,
            "argv": list(self._command.argv),
            "env": dict(self._command.env),
            "cwd": "/",
            "directory": str(self._directory),
            "log": str(self._log_path),
            "command_hash": self._command.hash,
            "stop_grace_s": self._engine.stop_grace_s,
            "tail_bytes": TAIL_BYTES,
        }

    def _spawn_failed(self, run_id: str, reason: str) -> None:
        self._ledger.found(reason)
        at = self._clock.time()
        failure = Exit(exits.SPAWN_FAILED, requested=False, at=at, run_id=run_id, error=reason)
        self._ledger.ended(exits.explain(failure, ()))
        self._ledger.to(Event.SPAWN_FAILED)
        self._crashed = True

    async def _follow(self, client: ShimClient) -> Exit:
        """Watch a running engine until nothing of it is left, and stop it when asked to."""
        watching = asyncio.create_task(self._watch.run(client.run, adopted=self._adopted))
        try:
            while not client.exited.done() and not self._must_stop:
                self._wake.clear()
                waking = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait(
                    {client.exited, waking, watching}, return_when=asyncio.FIRST_COMPLETED
                )
                waking.cancel()
                if watching.done():
                    watching.result()  # it never ends by itself: this raises what broke it
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        if not client.exited.done():
            await self._end(client)
        record = await client.exited
        ended = exits.from_record(record) if record else await self._how_it_ended(client.run)
        client.close()
        self._client = None
        return ended

    @property
    def _must_stop(self) -> bool:
        return self._closing or self._restart or not self._wanted

    async def _end(self, client: ShimClient) -> None:
        """Stop the engine through its shim; a shim that cannot do it is killed, then its tree."""
        self._restart = False
        self._ledger.to(Event.STOP)
        try:
            await client.stop(self._engine.stop_grace_s)
            limit_s = self._engine.stop_grace_s + STOP_MARGIN_S
            sleeping = asyncio.ensure_future(self._clock.sleep(limit_s))
            await asyncio.wait({client.exited, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            sleeping.cancel()
        except ShimError as error:
            self._ledger.found(str(error))
        if not client.exited.done():
            orphans.kill_shim(client.run)

    async def _how_it_ended(self, run: RunRecord) -> Exit:
        """Find out about a run whose shim is gone: from its record, or by looking for its tree."""
        record = orphans.read_exit(self._directory, run["run_id"])
        if record is not None:
            return exits.from_record(record)
        self._ledger.log.error(events.SHIM_LOST, shim_pid=run["shim_pid"], run_id=run["run_id"])
        while True:
            try:
                killed = await orphans.kill(run)
                break
            except TimeoutError as error:
                self._ledger.found(f"{error}; a reboot may be needed")
                await self._clock.sleep(RETRY_S)
        if killed:
            self._ledger.log.warning(events.ENGINE_ORPHANS_KILLED, killed=killed)
        return self._lost(run["run_id"], killed)

    def _lost(self, run_id: str, killed: list[str]) -> Exit:
        at = self._clock.time()
        requested = self._ledger.state is State.STOPPING
        return Exit(exits.SHIM_LOST, requested, at=at, run_id=run_id, killed=tuple(killed))

    def _account(self, ended: Exit) -> None:
        """Write down an end, once: without its run record, no later daemon counts it again."""
        run = orphans.read_run(self._directory)
        ended = exits.explain(ended, read_last_lines(run["log"], run["log_offset"]) if run else ())
        (self._directory / protocol.RUN_RECORD_NAME).unlink(missing_ok=True)
        self._probes.forget()
        self._ledger.ended(ended)
        self._crashed = not ended.requested
        if self._ledger.state not in (State.STOPPED, State.BACKOFF):
            self._ledger.to(Event.EXITED)

    async def _pause(self) -> None:
        pause_s = self._backoff.after_exit(self._ledger.ready_s)
        if self._backoff.failures == 1:
            self._ledger.first_failure = self._ledger.last_exit
        self._next_start_at = self._clock.time() + pause_s
        self._ledger.log.info(events.ENGINE_BACKOFF_STARTED, pause_s=round(pause_s, 1))
        self._wake.clear()
        if not self._must_stop:
            await wait_event(self._wake, pause_s, self._clock)
        self._next_start_at = None
