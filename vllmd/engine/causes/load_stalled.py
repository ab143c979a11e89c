"""The engine did not get on with loading."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="load_stalled",
    kind=Kind.TRANSIENT,
    explanation="The engine stood still while it was loading, so it was killed.",
    advice=(
        "Look whether the model's file system or the model hub answers; the limit is"
        " liveness.load_stall_s."
    ),
    marks=frozenset({"load_stalled"}),
)
