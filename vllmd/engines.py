"""All engines of a configuration: their supervisors, and the pages they are read by."""

import functools
import random
from collections.abc import Callable, Mapping

import httpx

from vllmd import heartbeat
from vllmd.adapters import Adapters
from vllmd.aside import Aside
from vllmd.clock import Clock
from vllmd.config import paths
from vllmd.config.command import Commands
from vllmd.config.model import Config
from vllmd.config.secrets import secrets_of
from vllmd.engine.desired import StoppedEngines
from vllmd.engine.restart.turns import Turns
from vllmd.engine.site import Site
from vllmd.engine.state import HAS_PAGE
from vllmd.engine.status import EngineStatus
from vllmd.engine.supervisor import Supervisor
from vllmd.gpu_view import view_of
from vllmd.gpus import Gpus
from vllmd.outputs import Outputs
from vllmd.parts import Part
from vllmd.scrape.page import Page, PageSource
from vllmd.surroundings import Surroundings
from vllmd.terminal_text import harmless
from vllmd.traces.spans import StartSpan

LONGEST_PAUSE_S = 5.0
"""Nobody watches an engine for longer after a mistake in whoever does."""


class Engines:
    """What the daemon has of its engines; `build` makes it."""

    def __init__(self) -> None:
        self.supervisors: dict[str, Supervisor] = {}
        self.sources: dict[str, PageSource] = {}

    def statuses(self) -> list[EngineStatus]:
        """Return what is known of each engine now."""
        return [supervisor.status for supervisor in self.supervisors.values()]

    def parts(self) -> list[Part]:
        """Return what is to run for each; after a mistake in one its engine is adopted again."""
        return [
            Part(
                f"engine:{name}",
                supervisor.run,
                may_end=True,
                engine=name,
                failed=supervisor.let_go,
                longest_pause_s=LONGEST_PAUSE_S,
            )
            for name, supervisor in self.supervisors.items()
        ]

    def running(self) -> Mapping[str, str]:
        """Return the fingerprint of the command that each engine runs with, of those that do."""
        return {s.name: s.command_hash for s in self.statuses() if s.command_hash}

    def readable_sources(self) -> list[PageSource]:
        """Return the pages of the engines that have one now."""
        return [self.sources[s.name] for s in self.statuses() if s.state in HAS_PAGE]

    def note_span(self, engine: str, span: StartSpan) -> None:
        """Tell an engine's supervisor of a part of its start."""
        self.supervisors[engine].span_ended(span.name, span.ended_at)

    def build(
        self,
        config: Config,
        surroundings: Surroundings,
        commands: Commands,
        *,
        client: httpx.AsyncClient,
        clock: Clock,
        aside: Aside,
        outputs: Outputs,
        gpus: Gpus,
        told: Callable[[str, Page], None],
        adapters: Adapters,
        start_nothing: str | None,
    ) -> None:
        """Make a supervisor and a page for each engine.

        `told` hears of each page that is read. With `start_nothing`, a reason, none is started.
        """
        state_dir, run_dir = paths.state_dir(config), paths.run_dir(config)
        stopped = StoppedEngines(state_dir / "stopped.json")
        turns, secrets = Turns(), tuple(secrets_of(config))
        reloads = surroundings.reloads
        renew, reloads.restart = reloads.restart, frozenset()
        for engine in config.engines.values():
            source = PageSource(
                engine.name,
                engine.url,
                client,
                clock,
                told=told,
                adapters=functools.partial(adapters.names, engine.name),
            )
            built = commands[engine.name]
            site = Site(
                directory=paths.engine_dir(run_dir, engine.name),
                log_path=paths.engine_log(paths.log_dir(config), engine.name),
                state_dir=state_dir,
                spawner=surroundings.spawner,
                stopped=stopped,
                turns=turns,
                clock=clock,
                poll_s=config.daemon.poll_s,
                chance=random.random,
                do_aside=aside.do,
                mask=lambda line: surroundings.redactor.text(harmless(line)),
                rotation=outputs.rotation,
                secrets=secrets,
                gpu=view_of(gpus, engine),
                errors=outputs.errors[engine.name],
            )
            self.sources[engine.name] = source
            self.supervisors[engine.name] = Supervisor(
                engine,
                built,
                site,
                heartbeat.probes(engine, built, source, client, clock, adapters),
                start_nothing=start_nothing,
                renew=engine.name in renew,
            )
