"""The host's memory ran out, and the kernel killed a process of the engine."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="host_out_of_memory",
    kind=Kind.TRANSIENT,
    explanation="The host's memory (not the GPU's) ran out, and the kernel killed the engine.",
    advice=(
        "Look at 'journalctl -k -g oom'; give the engine's unit more memory, lower its swap or"
        " offload settings, or load fewer engines on this host."
    ),
    marks=frozenset({"oom_kill"}),
)
