"""The runs of what keeps one engine's weights: found, started, ended, and their ends explained."""

import uuid
from pathlib import Path

import attrs

from vllmd.config.command import Command
from vllmd.config.stop_time import SHIM_MARGIN_S, WEIGHTS_GRACE_S
from vllmd.engine import exits
from vllmd.engine.context import EngineContext
from vllmd.engine.exits import Exit
from vllmd.engine.output.run_output import read_last_lines
from vllmd.engine.process import lost_shim, orphans
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.weights import sockets
from vllmd.errors import ShimError
from vllmd.shim import protocol
from vllmd.shim.protocol import RunRecord


@attrs.frozen
class SilentShim:
    """A shim that keeps weights and cannot be asked, or what one left that does not end."""

    problem: str
    """What is wrong, as the end of a sentence."""
    run: RunRecord | None
    """What it runs; None if it has no record any more."""
    pid: int | None
    """The shim itself; None if that is not known."""


@attrs.frozen
class WeightsRuns:
    """Where they are, and how they are started."""

    engine: str
    context: EngineContext

    @property
    def folder(self) -> Path:
        """Return where their shim and their sockets are."""
        return self.context.weights_directory

    async def find(self) -> ShimClient | SilentShim | RunRecord | None:
        """Look for what keeps them, and for what a shim left that was killed.

        Returns: the shim; one that cannot be asked; what ended and is not accounted for; or None.
        """
        while True:
            problem = None
            try:
                client = await ShimClient.connect(self.folder, self.context.lag)
            except ShimError as error:
                client, problem = None, str(error)
            if client is not None:
                return client
            run = orphans.read_run(self.folder)
            if run is not None and not orphans.shim_alive(run):
                return run
            if problem is not None or run is None:
                break
            if await self.lives_on(run):  # else it was just ending, or beginning
                problem = f"the shim in {self.folder} closes every connection"
                break
        if problem is not None:
            return SilentShim(problem, run, run["shim_pid"] if run else None)
        if (lost := lost_shim.find(self.folder)) is not None:
            problem = f"its socket in {self.folder} was removed, and it did not put it back"
            return SilentShim(f"the shim (pid {lost}) cannot be asked: {problem}", None, lost)
        return None

    def forget(self) -> None:
        """Remove the record of what was started last: nobody looks again for what it left.

        Its session's id may be that of strangers by then.
        """
        (self.folder / protocol.RUN_RECORD_NAME).unlink(missing_ok=True)

    async def clear(self) -> None:
        """Leave nothing of the sockets of those before: no engine maps what nobody compared.

        Raises: OSError: the folder cannot be made, or cannot be cleared.
        """
        await self.context.within(str(self.folder), self._prepare)

    async def spawn(self, command: Command) -> ShimClient:
        """Start them, once the folder is clear.

        Raises: ShimError, OSError: they could not be started, or have ended already.
        """
        context = self.context
        spec = context.spec(
            self.engine,
            uuid.uuid4().hex,
            command,
            directory=self.folder,
            log=context.weights_log,
            grace_s=WEIGHTS_GRACE_S,
        )
        await context.spawner.spawn(spec)
        client = await ShimClient.connect(self.folder, context.lag)
        if client is None:
            ended = orphans.read_last_exit(self.folder)
            said = "; ".join(ended["tail"][-1:]) if ended else "without a word"
            raise ShimError(f"it ended at once: {said}")
        return client

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sockets.clear(self.folder)
        if left := sockets.listening(self.folder):
            raise OSError(f"{self.folder} cannot be cleared: {left} sockets of others are there")

    async def stop(self, client: ShimClient) -> None:
        """End them; a shim that does not do it is killed, and what it leaves, too.

        Raises: TimeoutError: something does not die.
        """
        try:
            await client.stop(WEIGHTS_GRACE_S)
        except ShimError:
            orphans.ask_end(client.run)
        if not await self.context.lag.wait(client.exited, WEIGHTS_GRACE_S + SHIM_MARGIN_S):
            orphans.kill_shim(client.run)
            await orphans.kill(client.run)

    async def lives_on(self, run: RunRecord) -> bool:
        """Tell whether a shim lives whose connection has just ended without a word."""
        return await orphans.shim_lives_on(lambda: run, self.context.clock)

    async def how_they_ended(self, run: RunRecord) -> Exit:
        """Explain an end by its record and what was printed; what is left without a shim is ended.

        Raises: OSError: something cannot be ended; TimeoutError if it does not die.
        """
        record, context = orphans.read_exit(self.folder, run["run_id"]), self.context
        if record is not None:
            end = exits.from_record(record)
        else:
            killed = tuple(await orphans.kill(run))
            end = Exit(exits.SHIM_LOST, False, context.clock.time(), run["run_id"], killed)
        try:
            lines, _ = await context.within(run["log"], lambda: read_last_lines(run))
        except OSError:
            lines = []
        printed = [context.mask(line) for line in lines]
        end = exits.witnessed(end, context.gpu.seen(run["started_at"]))
        return exits.explain(exits.masked(end, context.mask), printed)
