"""Another process holds the VRAM that the engine was promised."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="vram_held",
    kind=Kind.TRANSIENT,
    explanation=(
        "Another process holds so much of the GPU's memory that the engine's share does not fit."
    ),
    advice=(
        "'vllmd gpu' names the holder: end it ('vllmd gpu reap' if it is an orphan of ours), or "
        "lower gpu_memory_utilization."
    ),
    names_holders=True,
    signatures=(r"Free memory on device .* is less than desired GPU memory utilization",),
)
