"""All engines of a configuration: their supervisors, and the pages they are read by."""

import asyncio
import functools
import random
from collections.abc import Callable, Collection, Iterator, Mapping

import attrs
import httpx

from vllmd.config import paths
from vllmd.config.command import Command
from vllmd.config.model import Config, EngineConfig
from vllmd.config.secret_values import secrets_of
from vllmd.daemon.engine_probes import EngineProbes, MemberProbes
from vllmd.daemon.environment import Environment
from vllmd.daemon.reload import ConfigSnapshot
from vllmd.engine.assembly import EngineSettings
from vllmd.engine.context import EngineContext
from vllmd.engine.group_interface import ALONE, EngineGroup
from vllmd.engine.output.service import OutputService
from vllmd.engine.process.run_state import NAME, Run, RunStates
from vllmd.engine.restart.load_slots import LoadSlots
from vllmd.engine.sleeping.host_memory import WeightsMemory
from vllmd.engine.sleeping.turns import Turns
from vllmd.engine.state_machine import ENDING, HAS_PAGE
from vllmd.engine.status import EngineStatus
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.engine.supervisor import Supervisor
from vllmd.gpu.engine_view import view_of
from vllmd.gpu.service import GpuService
from vllmd.lora.service import LoraService
from vllmd.scrape.page import Page, PageSource
from vllmd.scrape.recent import RecentPages
from vllmd.traces.spans import StartSpan
from vllmd.util.clock import Clock
from vllmd.util.disk_thread import DiskThread
from vllmd.util.loop_lag import LoopLag
from vllmd.util.parts import Part
from vllmd.util.terminal_text import harmless
from vllmd.util.within import run_within

LONGEST_PAUSE_S = 5.0
"""Nobody watches an engine for longer after a mistake in whoever does."""


@attrs.frozen
class SharedServices:
    """What the daemon hands to the supervisors of all engines."""

    environment: Environment
    client: httpx.AsyncClient
    clock: Clock
    disk_thread: DiskThread
    outputs: OutputService
    gpus: GpuService
    adapters: LoraService
    told: Callable[[str, Page], None]
    """Hears of each page that is read."""
    ended: Callable[[], None]
    """Told when nothing of a run is left, before the next one."""
    spent: Callable[[str, str, int, int, int], None] = lambda *_: None
    """Told what vllmd itself asked of an engine: its run, tokens of prompts, those that came, and
    requests."""
    group_of: Callable[[str], EngineGroup] = lambda _: ALONE
    """Returns what an engine is a part of."""
    load_slots: LoadSlots = attrs.field(factory=LoadSlots)
    turns: Turns = attrs.field(factory=Turns)
    host_memory: WeightsMemory = attrs.field(factory=WeightsMemory)
    lag: LoopLag = attrs.field(default=attrs.Factory(lambda self: LoopLag(self.clock), True))


class Engines:
    """What the daemon has of its engines; `configure` makes it, and changes it."""

    def __init__(self) -> None:
        self.supervisors: dict[str, Supervisor] = {}
        """Of what is configured, and of what is just being stopped because it is not any more."""
        self.sources: dict[str, PageSource] = {}
        self._recent: dict[str, RecentPages] = {}
        self._given: dict[str, object] = {}
        self._left: dict[str, Supervisor] = {}
        """Not configured any more, and not let go of yet: a start or an end was under way."""
        self._ending: set[str] = set()
        self._stopped: StoppedEngines | None = None

    def statuses(self) -> list[EngineStatus]:
        """Return what is known of each engine now."""
        return [supervisor.status for supervisor in self.supervisors.values()]

    def starting(self) -> list[EngineStatus]:
        """Return what is known of those whose start is under way; at rest there is none to make."""
        each = self.supervisors.values()
        return [supervisor.status for supervisor in each if supervisor.is_starting]

    def status(self, name: str) -> EngineStatus | None:
        """Return what is known of one engine now; None if there is none of that name."""
        supervisor = self.supervisors.get(name)
        return supervisor.status if supervisor is not None else None

    def version(self, name: str) -> str | None:
        """Return which vLLM answers for an engine; None until it has said so."""
        source = self.sources.get(name)
        return source.version if source is not None else None

    def running(self) -> Mapping[str, str]:
        """Return the fingerprint of the command that each engine runs with, of those that do."""
        return {s.name: s.command_hash for s in self.statuses() if s.command_hash}

    def looked_after(self) -> frozenset[str]:
        """Return the engines that are configured, or not let go of yet."""
        return frozenset((*self.supervisors, *self._left))

    def runs(self) -> Mapping[str, Run]:
        """Return what runs, by engine."""
        runs = {name: each.run_now for name, each in self.supervisors.items()}
        return {name: run for name, run in runs.items() if run is not None}

    def readable_sources(self) -> list[PageSource]:
        """Return the pages of the engines that have one now."""
        return [
            self.sources[s.name]
            for s in self.statuses()
            if s.state in HAS_PAGE and not (s.group and s.group.rank)
        ]

    async def ask_versions(self) -> None:
        """Ask those that have a page, and have not said it yet, which vLLM they are."""
        if any(source.up and source.version is None for source in self.sources.values()):
            await asyncio.gather(*(source.ask_version() for source in self.readable_sources()))

    def note_span(self, engine: str, span: StartSpan) -> None:
        """Tell an engine's supervisor of a part of its start."""
        if engine in self.supervisors:
            self.supervisors[engine].span_ended(span.name, span.ended_at, failed=span.failed)

    def parts(self) -> Iterator[Part]:
        """Yield what is to run; after a mistake in a supervisor its engine is adopted again."""
        for name, supervisor in {**self._left, **self.supervisors}.items():
            yield Part(
                f"engine:{name}",
                supervisor.run,
                may_end=True,
                engine=name,
                failed=supervisor.detach,
                longest_pause_s=LONGEST_PAUSE_S,
            )

    def weight_parts(self) -> Iterator[Part]:
        """Yield what follows the weights that are kept beside engines."""
        for name, supervisor in {**self._left, **self.supervisors}.items():
            if supervisor.weights.status is None:
                continue
            yield Part(
                f"weights:{name}",
                supervisor.weights.follow,
                engine=name,
                longest_pause_s=LONGEST_PAUSE_S,
            )

    async def looked(self) -> None:
        """Wait until it is known of each whether it runs, and how it stands."""
        await asyncio.gather(*(each.looked.wait() for each in self.supervisors.values()))

    # --- another configuration ---------------------------------------------------------------

    def to_end(self, wanted: Collection[str], *, stop: bool) -> list[str]:
        """Return the engines that are not `wanted` any more and are to end: all, if `stop`.

        One whose end is under way is seen through to it in any case.
        """
        return [
            name
            for name, each in self.supervisors.items()
            if name not in wanted and (stop or name in self._ending or each.status.state in ENDING)
        ]

    def part_with(self, wanted: Collection[str], ending: Collection[str]) -> None:
        """End these, and leave the others that are not `wanted` any more as they are."""
        for name, supervisor in list(self.supervisors.items()):
            if name in wanted:
                continue
            if name in ending:
                self._ending.add(name)
                supervisor.dismiss()
            else:
                supervisor.leave()
                self._left[name] = self.supervisors.pop(name)
        order = [name for name in (*wanted, *ending) if name in self.supervisors]
        for name in order:
            self.supervisors[name] = self.supervisors.pop(name)

    def forget(self, is_over: Callable[[str], bool], wanted: Collection[str]) -> None:
        """Forget those that are not `wanted` and whose supervisor `is_over`."""
        for known in (self.supervisors, self._left):
            for name in [n for n in known if n not in wanted and is_over(f"engine:{n}")]:
                del known[name]
                self._ending.discard(name)
        for kept in (self.sources, self._recent, self._given):
            for name in [n for n in kept if n not in self.supervisors]:
                del kept[name]

    def configure(
        self, now: ConfigSnapshot, wanted: ConfigSnapshot, services: SharedServices
    ) -> None:
        """Make what an engine needs that is new, and give the others their settings.

        `now` is what is in force, `wanted` has the commands that the next starts use.
        """
        config = now.config
        secrets = tuple(secrets_of(config))
        for name, engine in config.engines.items():
            command = wanted.commands.get(name, now.commands[name])
            again = name in self._left or (name in self._ending and name in wanted.config.engines)
            shared = now.problem, secrets, config.daemon, config.logs, config.gpu
            given = engine, command, now.commands[name], shared
            if self._given.get(name) != given or name not in self.supervisors:
                self._give(name, self._settings(now, engine, command, secrets, services))
                self._given[name] = given
            if again:
                self._ending.discard(name)
                self.supervisors[name].keep()

    def _give(self, name: str, settings: EngineSettings) -> None:
        supervisor = self.supervisors.get(name) or self._left.pop(name, None)
        if supervisor is None:
            supervisor = Supervisor(settings)
        else:
            supervisor.configure(settings)
        self.supervisors[name] = supervisor

    def _settings(
        self,
        now: ConfigSnapshot,
        engine: EngineConfig,
        command: Command,
        secrets: tuple[str, ...],
        services: SharedServices,
    ) -> EngineSettings:
        name, clock = engine.name, services.clock
        source = self.sources.get(name)
        if source is None:
            source = self.sources[name] = PageSource(
                name,
                engine.url,
                services.client,
                clock,
                on_page=services.told,
                adapters=functools.partial(services.adapters.names, name),
                lag=services.lag,
            )
        source.point(engine.url)
        source.passes_histograms = now.config.daemon.vllm_histograms
        recent = self._recent.setdefault(name, RecentPages())
        reached, group = now.commands[name], services.group_of(name)
        return EngineSettings(
            engine,
            command,
            self._context(now.config, engine, secrets, services),
            (MemberProbes if group.is_member else EngineProbes)(
                engine,
                reached,
                source,
                services.client,
                clock,
                services.adapters,
                recent,
                services.environment.parts,
                functools.partial(services.outputs.printing, name),
                group,
                functools.partial(self._asked, services, name),
            ),
            now.problem,
        )

    def _asked(self, services: SharedServices, name: str, prompt: int, generated: int) -> None:
        status = self.status(name)
        if status is not None and status.run_id is not None:
            services.spent(name, status.run_id, prompt, generated, 1)

    def _context(
        self,
        config: Config,
        engine: EngineConfig,
        secrets: tuple[str, ...],
        services: SharedServices,
    ) -> EngineContext:
        name, state_dir = engine.name, paths.state_dir(config)
        if self._stopped is None:
            self._stopped = StoppedEngines(state_dir / "stopped.json")
        return EngineContext(
            directory=paths.engine_dir(paths.run_dir(config), name),
            log_path=paths.engine_log(paths.log_dir(config), name),
            weights_directory=paths.weights_dir(paths.run_dir(config), name),
            weights_log=paths.weights_log(paths.log_dir(config), name),
            state_dir=state_dir,
            spawner=services.environment.spawner,
            stopped=self._stopped,
            load_slots=services.load_slots,
            turns=services.turns,
            host_memory=services.host_memory,
            clock=services.clock,
            lag=services.lag,
            poll_s=config.daemon.poll_s,
            chance=random.random,
            on_disk=services.disk_thread.do,
            within=run_within,
            mask=lambda line: services.environment.redactor.text(harmless(line)),
            rotation=services.outputs.rotation,
            secrets=secrets,
            gpu=view_of(services.gpus, engine),
            group=services.group_of(name),
            errors=services.outputs.errors[name],
            look=lambda: services.outputs.look(name),
            ended=services.ended,
        )


def kept_runs(config: Config, clock: Clock) -> Mapping[str, Run]:
    """Return the runs of which an earlier daemon left word, by engine."""
    folders = {name: paths.engine_dir(paths.run_dir(config), name) for name in config.engines}
    found = {name: RunStates(folder / NAME).load(clock) for name, folder in folders.items()}
    return {name: state.run for name, state in found.items() if state is not None}
