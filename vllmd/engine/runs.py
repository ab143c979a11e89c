"""One engine's runs: found, spawned, and their ends explained, whatever became of their shim."""

import asyncio
import contextlib
import functools
import math
import os
from collections.abc import Callable

import attrs

from vllmd.config import paths, preload
from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine import exits
from vllmd.engine.context import EngineContext
from vllmd.engine.disk_space import FULL, with_numbers
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.output.run_output import read_last_lines
from vllmd.engine.process import lost_shim, orphans
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.state_machine import State
from vllmd.engine.stopping.cleanup import MemoryHolders, clean_up
from vllmd.engine.stopping.drain import MARGIN_S
from vllmd.engine.stopping.unresponsive_shim import UnresponsiveShim
from vllmd.errors import ShimError
from vllmd.events.base import emit
from vllmd.events.engine import (
    EngineAdopted,
    EngineEndProven,
    EngineLeftoversRemoved,
    EngineOrphansKilled,
    EngineSpawned,
    ShimLost,
)
from vllmd.logs.reader import Position, end_of
from vllmd.shim import protocol
from vllmd.shim.protocol import RunRecord, Spec
from vllmd.util.within import run_within

RETRY_S = 5.0
"""How often to look again at what only a person can fix."""
ENDING_S = 0.1
ENDING_LOOKS = 50
"""So often at most a shim that closes its connection is taken for one that is just ending."""
READ_S = 2.0
RPC_BASE_PATH = "VLLM_RPC_BASE_PATH"
"""Where vLLM makes the sockets between its processes. Source: vllm/envs.py."""
MAX_RPC_BASE = 107 - len("/") - 36
"""Bytes of a folder in which a socket named by a UUID still has a path that the kernel takes."""


class Runs:
    """Where the runs of one engine are, and how they are started."""

    def __init__(
        self,
        engine: EngineConfig,
        command: Command,
        engine_state: EngineState,
        context: EngineContext,
    ) -> None:
        self._engine = engine
        self._command = command
        self._state = engine_state
        self._context = context
        self._clock = context.clock
        self.directory = context.directory
        self.ipc = context.directory / "ipc"

    async def connect(self) -> ShimClient | None:
        """Connect to the shim that runs this engine, if there is one.

        Raises: ShimError: somebody listens and does not answer as a shim does.
        """
        return await ShimClient.connect(self.directory, self._context.lag)

    async def find(
        self,
        requests: OperatorRequests,
        *,
        ending: Callable[[], bool],
        closing: Callable[[], bool],
    ) -> tuple[ShimClient | None, Exit | None]:
        """Look for a shim that runs this engine, and for what one left that was killed.

        One that does not answer is waited for, and one whose folder was removed is asked to put it
        back. If it is `ending`, it is ended all the same.

        Returns: the shim or None; the end of a run that is not accounted for yet, or None.
        """
        takes_s = self._engine.drain_s + self._engine.stop_grace_s + MARGIN_S
        unanswered = UnresponsiveShim(self._state.found, math.ceil(takes_s / RETRY_S))
        looks = 0
        while True:
            known, problem = requests.count, None
            try:
                client = await self.connect()
            except ShimError as error:
                client, problem = None, str(error)
            run = self.record()
            lost = lost_shim.find(self.directory) if client is None and problem is None else None
            if client is not None or (run is None and problem is None and lost is None):
                return client, None
            if run is not None and not orphans.shim_alive(run):
                self._state.is_over = True  # red at once, as one whose end was followed
                return None, await self.how_it_ended(run)
            looks += 1
            if lost is not None and (looks == 1 or looks > ENDING_LOOKS):
                lost_shim.ask_back(lost)
            if problem is None and looks <= ENDING_LOOKS:
                await self._clock.sleep(ENDING_S)  # it is just ending: its record comes
                continue
            self._state.found(problem or self._silence(lost))
            if run is not None:
                unanswered.look(run, ending=ending())
            elif lost is not None and ending():
                lost_shim.ask_end(lost)
            elif closing():
                return None, None
            await requests.beyond_within(known, RETRY_S, self._clock)

    def _silence(self, lost: int | None) -> str:
        """Say what is wrong with a shim that cannot be asked; `lost`: one without its folder."""
        if lost is None:
            return f"shim in {self.directory} closes every connection"
        return (
            f"it runs already, but its socket in {self.directory} was removed, and its shim (pid "
            f"{lost}) did not put it back: no second one is started; 'kill {lost}' ends it in order"
        )

    async def printed(self, run: RunRecord | None) -> list[str]:
        """Return the last lines of a run without secrets; none if the disk does not answer."""
        if run is None:
            return []
        context = self._context

        def read() -> tuple[list[str], Position | None]:
            context.look()
            return read_last_lines(run)

        try:
            lines, since = await run_within(run["log"], read, READ_S)
        except OSError:
            lines, since = [], None
        return [context.mask(line) for line in context.errors.before(lines, since)]

    async def lives_on(self, run: RunRecord) -> bool:
        """Tell whether the shim of a run lives whose connection has just ended without a word.

        That its record is gone, or cannot be read, says nothing of the shim.
        """
        return await orphans.shim_lives_on(lambda: self.record() or run, self._clock)

    def record(self) -> RunRecord | None:
        """Return what was started last, unless its end was accounted for."""
        return orphans.read_run(self.directory)

    def forget(self) -> None:
        """Remove that record: no later daemon counts the end again."""
        (self.directory / protocol.RUN_RECORD_NAME).unlink(missing_ok=True)

    def last_end(self) -> Exit | None:
        """Return how the last run ended, as its shim wrote it down, if that was accounted for."""
        record, run = orphans.read_last_exit(self.directory), self.record()
        if record is not None and run is not None and run["run_id"] == record["run_id"]:
            return None
        return exits.explain(exits.from_record(record), ()) if record else None

    async def spawn(self, run_id: str, *, maps_weights: bool = True) -> ShimClient | None:
        """Start the engine with a shim beside it; one that `maps_weights` asks for kept ones.

        Returns: the shim; None if it ran, and ended before we could look.
        Raises: ShimError, OSError: it could not be started; of a full disk it says how full it is.
        """
        context, log = self._context, str(self._context.log_path)
        try:
            await context.within(str(self.ipc), self._make_ipc)
            context.errors.begin(await context.within(log, lambda: end_of(log)))
            await context.spawner.spawn(self._spec(run_id, maps_weights))
        except (OSError, ShimError) as error:
            if FULL not in (text := str(error)):
                raise
            with contextlib.suppress(TimeoutError):
                folders = tuple(context.written())
                text = await context.within(log, lambda: with_numbers(text, *folders))
            raise ShimError(text) from None
        client = await self.connect()
        if client is not None:
            run, command = client.run, " ".join(self._command.masked_argv())
            pid, shim_pid = run["engine_pid"], run["shim_pid"]
            spawned = EngineSpawned(pid=pid, shim_pid=shim_pid, run_id=run_id, command=command)
            emit(self._state.log, spawned)
        return client

    def adopted(self, run: RunRecord) -> None:
        """Tell that an engine was found running."""
        adopted = EngineAdopted(
            pid=run["engine_pid"],
            shim_pid=run["shim_pid"],
            run_id=run["run_id"],
            command_changed=run["command_hash"] != self._command.hash,
        )
        emit(self._state.log, adopted)

    def _make_ipc(self) -> None:
        self.ipc.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_keys()

    def _write_keys(self) -> None:
        """Write the API keys that vLLM reads itself, for this user alone."""
        given = self._command.key_file
        path = paths.api_keys(self.directory.parents[1], self._engine.name)
        if given is None:
            path.unlink(missing_ok=True)
            return
        given.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        given.path.unlink(missing_ok=True)
        fd = os.open(given.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w") as file:
            file.write(given.text)

    async def wait_for_disks(
        self, requests: OperatorRequests, wanted: Callable[[], bool], say: Callable[[str], None]
    ) -> None:
        """Wait while what a start needs is on a disk that hangs, or until no start is wanted.

        A shim that was started all the same would hang with it. `say` is told for what it waits.
        """
        while wanted():
            known, silent = requests.count, await self._silent()
            if silent is None:
                return
            say(silent)
            await requests.beyond_within(known, RETRY_S, self._clock)

    async def _silent(self) -> str | None:
        """Return what does not answer, as a sentence; what is missing is said by the start."""
        model = self._engine.model
        needed = {
            "log_dir": str(self._context.log_path.parent),
            "its program": self._command.argv[0],
        }
        if os.path.isabs(model):
            needed["its model"] = model
        for what, path in needed.items():
            try:
                await self._context.within(path, functools.partial(os.stat, path))
            except TimeoutError:
                return f"waits until {what} ({path}) answers: its file system hangs"
            except OSError:
                continue
        return None

    def _spec(self, run_id: str, maps_weights: bool) -> Spec:
        engine, env, argv = self._engine, dict(self._command.env), self._command.argv
        if not maps_weights:
            argv = preload.without(argv, self._context.weights_directory)
        if len(os.fsencode(self.ipc)) <= MAX_RPC_BASE:
            env.setdefault(RPC_BASE_PATH, str(self.ipc))
        return self._context.spec(
            engine.name,
            run_id,
            attrs.evolve(self._command, argv=argv, env=env),
            directory=self.directory,
            log=self._context.log_path,
            grace_s=engine.drain_s + engine.stop_grace_s,
        )

    async def how_it_ended(self, run: RunRecord) -> Exit:
        """Find out about a run whose shim is gone: from its record, or by looking for its tree."""
        record = orphans.read_exit(self.directory, run["run_id"])
        if record is not None:
            return exits.from_record(record)
        engine_state = self._state
        emit(engine_state.log, ShimLost(shim_pid=run["shim_pid"], run_id=run["run_id"]))
        while True:
            try:
                killed = await orphans.kill(run)
                break
            except TimeoutError as error:
                engine_state.found(f"{error}; a reboot may be needed")
            except OSError as error:
                engine_state.found(f"what is left of it cannot be ended yet: {error}")
            await self._clock.sleep(RETRY_S)
        if killed:
            emit(engine_state.log, EngineOrphansKilled(killed=tuple(killed)))
        return self.lost(run["run_id"], killed)

    async def how_it_ended_at_once(self, run_id: str) -> Exit:
        """Find out about a run that was gone before anybody could look."""
        record = self.record()
        return await self.how_it_ended(record) if record else self.lost(run_id, [])

    async def explain(self, ended: Exit, run: RunRecord | None) -> tuple[Exit, list[str]]:
        """Find the cause of an end.

        Returns: the end with it, and the last lines that the run printed, without secrets.
        """
        context = self._context
        if run is not None:
            ended = exits.witnessed(ended, context.gpu.seen(run["started_at"]))
        printed = await self.printed(run)
        served = self._state.had_served(ended.run_id)
        masked = exits.masked(ended, context.mask)
        return await _explained(masked, printed, served=served), printed

    async def failing(self, run: RunRecord) -> Exit:
        """Return how a run that goes on would be explained if it ended by itself now."""
        end = Exit("0", requested=False, at=self._clock.time(), run_id=run["run_id"])
        masked, printed = exits.masked(end, self._context.mask), await self.printed(run)
        return await _explained(masked, printed, served=True)

    def lost(self, run_id: str, killed: list[str]) -> Exit:
        """Return the end of a run whose shim was killed, and with it the knowledge how."""
        at = self._clock.time()
        requested = self._state.state in (State.STOPPING, State.DRAINING)
        return Exit(exits.SHIM_LOST, requested, at=at, run_id=run_id, killed=tuple(killed))

    def not_spawned(self, run_id: str, reason: str) -> Exit:
        """Return the end of a run that never began."""
        at = self._clock.time()
        return Exit(exits.SPAWN_FAILED, requested=False, at=at, run_id=run_id, error=reason)

    async def clean_up(self, run: RunRecord | None, holders: MemoryHolders) -> None:
        """See to it that nothing of a run is left, and name what is in the way of the next."""
        engine_state = self._state
        before = engine_state.problem
        found = await clean_up(
            self._engine.host,
            self._engine.port,
            since=run["started_at"] if run else self._clock.time(),
            ipc=self.ipc,
            shared_memory=self._context.shared_memory,
            clock=self._clock,
            holders=holders,
            notice=engine_state.found,
        )
        if found.removed:
            emit(engine_state.log, EngineLeftoversRemoved(paths=found.removed))
        emit(
            engine_state.log,
            EngineEndProven(after_s=round(found.after_s, 3), in_the_way=found.in_the_way),
        )
        if found.in_the_way:
            engine_state.found("; ".join(found.in_the_way))
        else:
            engine_state.problem = before


async def _explained(end: Exit, printed: list[str], *, served: bool) -> Exit:
    """Explain an end in a thread; here, if there is none: the next start waits for it."""
    explain = functools.partial(exits.explain, end, printed, served=served)
    try:
        return await asyncio.to_thread(explain)
    except OSError:
        return explain()
