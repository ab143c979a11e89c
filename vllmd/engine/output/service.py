"""The output of all engines: followed, compressed, rotated when somebody asks."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import structlog

from vllmd.config import paths
from vllmd.config.model import Config
from vllmd.config.sections import LogsConfig
from vllmd.engine.output.engine_output import EngineOutput, OutputFigures
from vllmd.engine.output.first_errors import FirstErrors
from vllmd.errors import UnknownEngineError
from vllmd.events.base import emit
from vllmd.events.engine import LogNotCompressed
from vllmd.logs.copied import CopiedFile
from vllmd.logs.journal import Journal
from vllmd.logs.stdout import Stdout
from vllmd.shim.protocol import Rotation
from vllmd.util.background_writer import BackgroundWriter
from vllmd.util.clock import Clock, until_tick
from vllmd.util.parts import Part
from vllmd.util.redact import without_shapes
from vllmd.util.units import MIB

LOOK_S = 2.0
"""How often it is asked for news of the logs."""
LOOK_ANYWAY_S = 60.0
"""How often a log is looked at whose shim has no news: somebody may have removed old files."""
COMPRESS_S = 60.0
"""How often there may be something to compress."""
STDOUT = 1
"""The file descriptor of standard output."""

_log = structlog.get_logger()


def rotation_of(logs: LogsConfig) -> Rotation:
    """Return what a shim is told."""
    return {
        "max_bytes": logs.rotate_mb * MIB,
        "period": logs.rotate,
        "keep": logs.keep,
        "budget_bytes": logs.budget_mb * MIB,
    }


class OutputService:
    """One output for each engine of a configuration."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._clock = clock
        self._stdout = BackgroundWriter(STDOUT)
        self._copies: dict[str, dict[str, Journal | Stdout]] = {"journal": {}, "stdout": {}}
        self._outputs: dict[str, EngineOutput] = {}
        self._over: list[EngineOutput | Journal | Stdout] = []
        self._problems: dict[str, str | None] = {}
        self._began = False
        self.errors: dict[str, FirstErrors] = {}
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Follow the engines of this configuration from now on; those that go on keep their place.

        Raises: OSError: the log of a new one cannot be looked at.
        """
        self._compress = config.logs.compress
        self.rotation = rotation_of(config.logs)
        new = [name for name in config.engines if name not in self._outputs]
        self._outputs.update({name: self._output(config, name) for name in new})
        for name in [name for name in self._outputs if name not in config.engines]:
            self._over.append(self._outputs.pop(name))
            del self.errors[name]
        self._copy("journal", config.logs.journal, Journal)
        self._copy("stdout", config.logs.stdout, lambda name: self._to_stdout(config, name))
        for name, output in self._outputs.items():
            copies = [each[name].send for each in self._copies.values() if name in each]
            output.configure(self.rotation, copies)
        self._began = True

    def _to_stdout(self, config: Config, name: str) -> Stdout:
        """Return a copy to standard output: of a new daemon, on from where the one before was."""
        copied = CopiedFile(paths.copied_to_stdout(paths.run_dir(config), name))
        if self._began:
            copied.forget()
        log = paths.engine_log(paths.log_dir(config), name)
        return Stdout(name, str(log), self._stdout, copied)

    def _copy(self, where: str, wanted: bool, make: Callable[[str], Journal | Stdout]) -> None:
        """Have the lines of each engine copied somewhere from now on, or none any more."""
        copies = self._copies[where]
        names = self._outputs.keys() if wanted else set()
        self._over += [copies.pop(name) for name in list(copies.keys() - names)]
        for name in names - copies.keys():
            copies[name] = make(name)

    def _output(self, config: Config, name: str) -> EngineOutput:
        return EngineOutput(
            name,
            paths.engine_log(paths.log_dir(config), name),
            paths.engine_dir(paths.run_dir(config), name),
            paths.state_dir(config) / "engines" / f"{name}.log.json",
            self.rotation,
            self.errors.setdefault(name, FirstErrors()),
        )

    def parts(self) -> Iterator[Part]:
        """Yield what is to run: follow them, compress what was rotated."""
        yield Part("logs", self.follow)
        if self._compress:
            yield Part("log_compression", self.compress)

    async def follow(self) -> None:
        """Follow them until cancelled."""
        while True:
            self._close_over()
            for output in list(self._outputs.values()):
                now = self._clock.monotonic()
                if await output.ask_shim() or now - output.looked_at >= LOOK_ANYWAY_S:
                    output.looked_at = now
                    await asyncio.to_thread(output.look)
            await self._clock.sleep(until_tick(self._clock, LOOK_S))

    def _close_over(self) -> None:
        """Let go of those that are not followed any more; no thread uses them now."""
        over, self._over = self._over, []
        for each in over:
            each.close()

    async def compress(self) -> None:
        """Compress rotated files until cancelled; one after the other, as it takes CPU time."""
        while True:
            await self._compress_all()
            await self._clock.sleep(until_tick(self._clock, COMPRESS_S))

    def close(self) -> None:
        """Let go of them."""
        self._close_over()
        for output in self._outputs.values():
            output.close()
        self._stdout.close()
        for each in self._copies.values():
            for copy in each.values():
                copy.close()

    async def rotate(self, name: str) -> None:
        """Begin a new file of an engine's log.

        Raises: UnknownEngineError, ShimError, OSError.
        """
        if name not in self._outputs:
            raise UnknownEngineError.among(name, self._outputs)
        await self._outputs[name].rotate()

    def look(self, name: str) -> None:
        """Read what an engine has printed up to now; waits for the disk."""
        if (output := self._outputs.get(name)) is not None:
            output.look()

    def under_way(self, name: str) -> str | None:
        """Return the line that an engine has begun and not ended: a progress bar, mostly."""
        output = self._outputs.get(name)
        line = output.under_way if output else None
        return line and without_shapes(line)

    def printing(self, name: str, run_id: str) -> str | None:
        """Return the line that a run of an engine has begun and not ended."""
        output = self._outputs.get(name)
        return output.printing(run_id) if output else None

    def problem(self, name: str) -> str | None:
        """Return why the disk does not take an engine's log now, if it does not."""
        output = self._outputs.get(name)
        return output.figures().problem if output else None

    def figures(self) -> Iterable[OutputFigures]:
        """Return what is known of each."""
        return [output.figures() for output in self._outputs.values()]

    def not_copied(self) -> dict[str, dict[str, int]]:
        """Return how many lines of each engine were not taken, by where they are copied to."""
        return {
            where: {name: copy.dropped for name, copy in copies.items()}
            for where, copies in self._copies.items()
        }

    async def _compress_all(self) -> None:
        for name, output in list(self._outputs.items()):
            problem = await asyncio.to_thread(output.compress)
            if problem != self._problems.get(name):
                self._problems[name] = problem
                if problem:
                    emit(_log, LogNotCompressed(problem=problem), engine=name)
