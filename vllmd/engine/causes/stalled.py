"""The engine had work and made no progress."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="stalled",
    kind=Kind.TRANSIENT,
    explanation="The engine had work and made no progress, so it was killed.",
    advice=(
        "Its stacks and last lines are in the incident's folder, which the log names; the limits"
        " are liveness.stall_s and hang_s."
    ),
    marks=frozenset({"stalled"}),
)
