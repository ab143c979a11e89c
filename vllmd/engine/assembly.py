"""What the supervisor of an engine works with, made of its settings: none of it has a state.

So it can be made anew when the settings change, while the engine runs on.
"""

from collections.abc import Callable

import attrs

from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine.context import EngineContext
from vllmd.engine.engine_state import EngineState
from vllmd.engine.incidents.recorder import IncidentRecorder, Sources
from vllmd.engine.liveness.monitor import LivenessMonitor, Probes
from vllmd.engine.restart.dependencies import Dependencies
from vllmd.engine.restart.restarter import Restarter
from vllmd.engine.runs import Runs
from vllmd.engine.stopping.drain import Drain


@attrs.frozen
class EngineSettings:
    """All that the configuration decides about one engine."""

    engine: EngineConfig
    command: Command
    site: EngineContext
    probes: Probes
    start_nothing: str | None = None
    """Why it is adopted, followed and stopped only; None if it may be started."""


@attrs.frozen
class Assembly:
    """The parts, for one set of settings."""

    runs: Runs
    incidents: IncidentRecorder
    drain: Drain
    aftermath: Restarter


def assemble(
    settings: EngineSettings, ledger: EngineState, before: Assembly | None = None
) -> Assembly:
    """Make the parts that read and write the ledger of an engine, in place of those `before`."""
    engine, command, site = settings.engine, settings.command, settings.site
    dependencies = Dependencies(
        engine,
        command,
        folders=site.written(),
        gpu=site.gpu.fine,
        memory=site.gpu.has_room,
    )
    return Assembly(
        Runs(engine, command, ledger, site),
        IncidentRecorder(
            site.state_dir / "incidents",
            ledger,
            site.clock,
            command,
            limit_s=engine.liveness.diagnose_s,
            sources=Sources(settings.probes.pages, site.gpu.recent, site.mask, site.lag),
            before=before.incidents if before else None,
        ),
        Drain(engine, ledger, site.clock, settings.probes.serving, site.lag),
        Restarter(
            engine,
            command,
            ledger,
            clock=site.clock,
            chance=site.chance,
            dependencies=dependencies,
        ),
    )


def watch_of(
    settings: EngineSettings, ledger: EngineState, parts: Assembly, loaded: Callable[[], None]
) -> LivenessMonitor:
    """Make who follows the engine; `loaded` is told when it is ready first in a run."""
    engine, site = settings.engine, settings.site
    return LivenessMonitor(
        ledger,
        settings.probes,
        site.lag,
        site.poll_s,
        engine.port,
        engine.liveness,
        site.gpu,
        parts.incidents.before_kill,
        loaded,
    )


def redirect(watch: LivenessMonitor, settings: EngineSettings, parts: Assembly) -> None:
    """Have it go by other settings from its next look on; what it knows of the engine stays."""
    engine, site = settings.engine, settings.site
    watch.probes, watch.poll_s, watch.gpu = settings.probes, site.poll_s, site.gpu
    watch.port, watch.limits = engine.port, engine.liveness
    watch.diagnose = parts.incidents.before_kill
