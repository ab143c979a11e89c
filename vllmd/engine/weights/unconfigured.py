"""Weights of engines that are configured no more: ended, once no engine maps them.

An engine leaves the configuration by a reload, another name, or a daemon that is started with
another file. While it runs it is left alone, and so are its weights. Where the configuration cannot
be used nobody knows whether it left: then they are named only.
"""

from collections.abc import Callable, Container
from pathlib import Path

import attrs
import structlog

from vllmd.engine import exits
from vllmd.engine.exits import Exit
from vllmd.engine.process import orphans
from vllmd.engine.stopping.unresponsive_shim import UnresponsiveShim
from vllmd.engine.weights.kept_run import PATIENCE, RETRY_S
from vllmd.events.base import emit
from vllmd.events.weights import WeightsEnded, WeightsUnconfigured
from vllmd.shim.protocol import RUN_RECORD_NAME, RunRecord
from vllmd.util.clock import Clock, until_tick

ENDED = "they are ended: no engine maps them"
MAPPED = "the engine runs on and maps them: they are ended once it is gone"

_log = structlog.get_logger()


@attrs.define
class _Known:
    """One run that was seen, and what was told of it last."""

    run_id: str
    shim: UnresponsiveShim
    told: str | None = None


class UnconfiguredWeights:
    """Looks for them every few seconds."""

    def __init__(
        self,
        run_dir: Path,
        configured: Callable[[], Container[str]],
        problem: Callable[[], str | None],
        clock: Clock,
    ) -> None:
        """Begin; `problem` is why the configuration cannot be used, None if it can."""
        self._run_dir = run_dir
        self._configured = configured
        self._problem = problem
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(until_tick(self._clock, RETRY_S))

    async def look(self) -> None:
        """End what is to be ended: each look is one step of that."""
        for folder in sorted((self._run_dir / "weights").glob("*")):
            name = folder.name
            run = None if name in self._configured() else orphans.read_run(folder)
            if run is None:
                self._known.pop(name, None)
                continue
            known = self._known.get(name)
            if known is None or known.run_id != run["run_id"]:
                shim = UnresponsiveShim(lambda _: None, PATIENCE)  # it is told below
                known = self._known[name] = _Known(run["run_id"], shim)
            if not orphans.shim_alive(run):
                await self._account(name, folder, run, known)
            elif (stays := self._why_they_stay(name, run)) is not None:
                self._tell(name, run, known, stays)
            else:
                self._tell(name, run, known, ENDED)
                known.shim.look(run, ending=True)

    def _why_they_stay(self, name: str, run: RunRecord) -> str | None:
        if self._problem() is not None:
            return (
                "they stay, as the configuration cannot be used: "
                f"'kill {run['shim_pid']}' ends them (their shim)"
            )
        engine = orphans.read_run(self._run_dir / "engines" / name)
        if engine is None:
            return None
        try:
            runs = orphans.shim_alive(engine) or bool(orphans.find(engine))
        except OSError:
            runs = True  # nobody can tell
        return MAPPED if runs else None

    def _tell(self, name: str, run: RunRecord, known: _Known, consequence: str) -> None:
        if known.told != consequence:
            known.told = consequence
            told = WeightsUnconfigured(
                shim_pid=run["shim_pid"], run_id=run["run_id"], consequence=consequence
            )
            emit(_log, told, engine=name)

    async def _account(self, name: str, folder: Path, run: RunRecord, known: _Known) -> None:
        """Tell of an end; what a shim left that was killed is ended before."""
        record = orphans.read_exit(folder, run["run_id"])
        if record is not None:
            end = exits.from_record(record)
        else:
            try:
                killed = tuple(await orphans.kill(run))
            except OSError as error:
                self._tell(name, run, known, f"{error}; a reboot may be needed")
                return
            end = Exit(
                exits.SHIM_LOST, known.told == ENDED, self._clock.time(), run["run_id"], killed
            )
        (folder / RUN_RECORD_NAME).unlink(missing_ok=True)
        told = WeightsEnded(
            code=end.label,
            requested=end.requested,
            text=end.describe(),
            run_id=end.run_id,
            last_line=None,
        )
        emit(_log, told, level="info" if end.requested else "error", engine=name)
