"""There was no engine: its program, or the process beside it, could not be started."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="not_started",
    kind=Kind.CONFIGURATION,
    explanation="The engine's program, or the process beside it, could not be started.",
    advice="The end of the last run names what failed; 'vllmd check' shows the whole command.",
    labels=frozenset({"spawn_failed"}),
)
