"""The process beside the engine was killed."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="shim_lost",
    kind=Kind.OPERATOR,
    explanation="The process beside the engine was killed, so nobody saw how the engine ended.",
    advice="If nobody killed it, look for the OOM killer: journalctl -k -g oom.",
    labels=frozenset({"shim_lost"}),
)
