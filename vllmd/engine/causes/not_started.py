"""There was no engine: the process beside it could not be started."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="not_started",
    kind=Kind.TRANSIENT,
    explanation="The process beside the engine could not be started.",
    advice="The end of the last run names what failed; the service manager's journal may say more.",
    labels=frozenset({"spawn_failed"}),
)
