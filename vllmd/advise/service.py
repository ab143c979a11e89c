"""What engines show: where pages and GPUs are wired to what adds up, keeps and judges it."""

import asyncio
import math
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

import attrs

from vllmd.advise import diff
from vllmd.advise.day_files import ObservedDays, Sums
from vllmd.advise.observed import total
from vllmd.advise.observer import GpuRoom, ObservedRun, Observer
from vllmd.advise.rules import Advice, ObservedEngine, advise, enough
from vllmd.config import paths
from vllmd.config.command import Command
from vllmd.config.model import Config, EngineConfig
from vllmd.engine.status import EngineStatus
from vllmd.gpu.service import GpuService
from vllmd.scrape.page import Page
from vllmd.util.clock import Clock, until_tick
from vllmd.util.days import day_of
from vllmd.util.disk_thread import DiskThread
from vllmd.util.parts import Part
from vllmd.util.state_file import READ_AGAIN_S, NotRead
from vllmd.util.units import MINUTE_S

WRITE_S = float(MINUTE_S)
"""A power cut loses so long of what was seen at most."""
GPUS_S = float(MINUTE_S)
"""How often it is noted how the GPUs of an engine stand."""
MAX_FILE_BYTES = 1 << 20


class AdviseService:
    """Looks at every page, keeps what it shows, and says what follows."""

    def __init__(
        self,
        config: Config,
        commands: Mapping[str, Command],
        status: Callable[[str], EngineStatus | None],
        gpus: GpuService,
        clock: Clock,
        disk: DiskThread,
    ) -> None:
        """Make it; nothing is kept before `run` has read what was."""
        self._status = status
        self._gpus = gpus
        self._clock = clock
        self._disk = disk
        self._files = ObservedDays(paths.state_dir(config), _days(config))
        self._observer = Observer(clock.time())
        self._resumed = False
        self._gpus_seen_at: dict[str, float] = {}
        self._probes: dict[str, int] = {}
        """How often a probe of each engine had begun or ended at its last page."""
        self.configure(config, commands)

    def configure(self, config: Config, commands: Mapping[str, Command]) -> None:
        """Take over other settings; what was seen with another command is kept apart."""
        for name in getattr(self, "_config", config).engines.keys() - config.engines.keys():
            self._observer.forget(name)
        self._config = config
        self._commands = commands
        self._files.keep(_days(config))

    def parts(self) -> list[Part]:
        """Return what is to run."""
        return [Part("advise", self.run)]

    async def run(self) -> None:
        """Work until cancelled. Nothing is written before what was written is read."""
        while not self._resumed:
            found = await asyncio.to_thread(self._files.last)
            if isinstance(found, NotRead):
                await self._clock.sleep(READ_AGAIN_S)
                continue
            if found is not None:
                self._observer.resume(*found)
            self._resumed = True
        while True:
            await self._clock.sleep(until_tick(self._clock, WRITE_S))
            self._write()

    def close(self) -> None:
        """Write down what was seen until now."""
        if self._resumed:
            self._write()

    def _write(self) -> None:
        now = self._clock.time()
        self._add()
        if self._files.waiting:
            files = self._files
            self._disk.do(lambda: files.write(now))

    def _add(self) -> None:
        """Hand on what was seen until now."""
        seen = self._observer.take(day_of(self._clock.time()))
        self._files.add(seen, self._observer.marks())

    def page_read(self, name: str, page: Page) -> None:
        """Take what an engine's page shows."""
        status = self._status(name)
        engine = self._config.engines.get(name)
        if not self._resumed or status is None or engine is None or status.run_id is None:
            return
        run = ObservedRun(name, status.run_id, status.command_hash or "", status.started_at or 0.0)
        seen, self._probes[name] = self._probes.get(name, 0), status.probes
        probed = status.probes != seen or status.probes % 2 == 1
        today = day_of(self._clock.time())
        self._observer.page(run, page, today, self._gpus_of(engine), probed=probed)

    def _gpus_of(self, engine: EngineConfig) -> GpuRoom:
        now = self._clock.monotonic()
        if now - self._gpus_seen_at.get(engine.name, -GPUS_S) < GPUS_S:
            return GpuRoom()
        self._gpus_seen_at[engine.name] = now
        listings, devices = self._gpus.listings() or {}, self._gpus.gpus_of(engine)
        margins = [self._gpus.margin(device, engine) for device in devices]
        free = [listings[d.uuid].memory.free for d in devices if d.uuid in listings]
        return GpuRoom(
            min(free, default=None), min((m for m in margins if m is not None), default=None)
        )

    async def report(self, since: float, until: float, first_token_s: float) -> dict[str, Any]:
        """Return what each engine has shown from `since` to `until` (epoch seconds), whole days.

        A first token that takes longer than `first_token_s` is late.
        """
        path = self._config.path
        source = await asyncio.to_thread(_read, Path(path)) if path else ""
        self._add()
        seen = await asyncio.to_thread(self._files.read, since, until)
        engines = [
            self._engine(engine, seen, first_token_s, source)
            for engine in self._config.engines.values()
        ]
        return {"since": since, "until": until, "config": path, "engines": engines}

    def _engine(
        self, engine: EngineConfig, seen: Sums, first_token_s: float, source: str
    ) -> dict[str, Any]:
        status = self._status(engine.name)
        built = self._commands.get(engine.name)
        mine = {slot: each for slot, each in seen.items() if slot.engine == engine.name}
        same = {slot: each for slot, each in mine.items() if built and slot.command == built.hash}
        observed = total(same.values())
        listings, devices = self._gpus.listings() or {}, self._gpus.gpus_of(engine)
        memories = [listings[d.uuid].memory for d in devices if d.uuid in listings]
        case = ObservedEngine(
            engine,
            observed,
            status.sizes if status else {},
            min((m.total - m.reserved for m in memories), default=None),
            first_token_s,
            self._is_alone(engine, {device.uuid for device in devices}),
        )
        return {
            "engine": engine.name,
            "enough": enough(observed),
            "first_day": min((slot.day for slot in same), default=None),
            "requests": observed.finished,
            "other_commands_s": total(mine.values()).watched_s - observed.watched_s,
            "observed": observed.to_json(),
            "advice": [self._advice(engine.name, each, source) for each in advise(case)],
        }

    def _is_alone(self, engine: EngineConfig, uuids: Set[str]) -> bool:
        """Tell whether no other engine is configured for any of these GPUs."""
        others = (each for name, each in self._config.engines.items() if name != engine.name)
        return not any(
            device.uuid in uuids for other in others for device in self._gpus.gpus_of(other)
        )

    def _advice(self, name: str, advice: Advice, source: str) -> dict[str, Any]:
        made = diff.changed(source, ("engines", name), advice.key, advice.value)
        path = self._config.path or ""
        shown = None if made is None else diff.unified(source, made, path)
        return {**attrs.asdict(advice), "key": list(advice.key), "diff": shown}


def _days(config: Config) -> int:
    return math.ceil(config.history.keep_days)


def _read(path: Path) -> str:
    """Return a configuration file's text; nothing if it cannot be read: then there is no diff."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode()
    except (OSError, ValueError):
        return ""
