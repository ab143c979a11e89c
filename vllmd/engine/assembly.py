"""What the supervisor of an engine works with, made of its settings: none of it has a state.

So it can be made anew when the settings change, while the engine runs on.
"""

from collections.abc import Callable

import attrs

from vllmd.config.command import Command
from vllmd.config.gpus import visible_gpus
from vllmd.config.model import EngineConfig
from vllmd.config.probe import ALERT
from vllmd.engine.context import EngineContext
from vllmd.engine.engine_state import EngineState
from vllmd.engine.incidents.recorder import IncidentRecorder
from vllmd.engine.liveness.monitor import LivenessMonitor
from vllmd.engine.liveness.probes import Probes
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.process.run_state import NAME, RunStates
from vllmd.engine.restart.dependencies import Dependencies
from vllmd.engine.restart.load_slots import LoadSlot
from vllmd.engine.restart.restarter import Restarter
from vllmd.engine.restart.room_gate import RoomGate
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.runs import Runs
from vllmd.engine.stopping.drain import Drain


@attrs.frozen
class EngineSettings:
    """All that the configuration decides about one engine."""

    engine: EngineConfig
    command: Command
    context: EngineContext
    probes: Probes
    start_nothing: str | None = None
    """Why it is adopted, followed and stopped only; None if it may be started."""


@attrs.frozen
class Assembly:
    """The parts, for one set of settings."""

    runs: Runs
    incidents: IncidentRecorder
    drain: Drain
    restarter: Restarter
    room: RoomGate


def assemble(
    settings: EngineSettings, engine_state: EngineState, before: Assembly | None = None
) -> Assembly:
    """Make the parts that read and write the state of an engine, in place of those `before`."""
    engine, command, context = settings.engine, settings.command, settings.context
    dependencies = Dependencies(
        engine,
        command,
        folders=context.written(),
        gpu=context.gpu.fine,
        memory=context.gpu.has_room,
    )
    withholds = engine.probe is not None and engine.probe.on_mismatch != ALERT
    engine_state.answers.use(withholds=withholds)
    room = before.room if before else RoomGate(engine_state, context.clock)
    room.use(engine, command.hash, context.gpu)
    return Assembly(
        Runs(engine, command, engine_state, context),
        IncidentRecorder(
            context.state_dir / "incidents",
            engine_state,
            context.clock,
            command,
            limit_s=engine.liveness.diagnose_s,
            probes=settings.probes,
            gpu=context.gpu,
            lag=context.lag,
            mask=context.mask,
            before=before.incidents if before else None,
        ),
        Drain(
            engine,
            engine_state,
            context.clock,
            settings.probes.serving,
            not context.group.is_member,
            context.lag,
        ),
        Restarter(
            engine,
            command,
            engine_state,
            clock=context.clock,
            chance=context.chance,
            dependencies=dependencies,
        ),
        room,
    )


def state_of(settings: EngineSettings) -> EngineState:
    """Make what is known of the engine, with what earlier daemons knew."""
    name, context = settings.engine.name, settings.context
    memory = RestartStateFile(context.state_dir / "engines" / f"{name}.json", context.on_disk)
    states = RunStates(context.directory / NAME, context.on_disk)
    return EngineState(name, context.clock, memory, states)


def load_slot_of(
    settings: EngineSettings,
    engine_state: EngineState,
    activity: Callable[[], ProcessActivity | None],
) -> LoadSlot:
    """Make the engine's place among those that load; `activity` is of its load, for others."""
    context = settings.context
    return LoadSlot(
        *(context.load_slots, settings.engine.name, visible_gpus(settings.command.env)),
        context.clock,
        has_room=context.gpu.has_room,
        activity=activity,
        phase=lambda: engine_state.phase,
    )


def watch_of(
    settings: EngineSettings, engine_state: EngineState, parts: Assembly, loaded: Callable[[], None]
) -> LivenessMonitor:
    """Make who follows the engine; `loaded` is told when it is ready first in a run."""
    engine, context = settings.engine, settings.context
    return LivenessMonitor(
        engine_state,
        settings.probes,
        context.lag,
        context.poll_s,
        engine.port,
        engine.liveness,
        context.gpu,
        parts.incidents.before_kill,
        loaded,
    )


def redirect(watch: LivenessMonitor, settings: EngineSettings, parts: Assembly) -> None:
    """Have it go by other settings from its next look on; what it knows of the engine stays."""
    engine, context = settings.engine, settings.context
    watch.probes, watch.poll_s, watch.gpu = settings.probes, context.poll_s, context.gpu
    watch.port, watch.limits = engine.port, engine.liveness
    watch.diagnose = parts.incidents.before_kill
