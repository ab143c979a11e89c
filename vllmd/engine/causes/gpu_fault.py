"""The GPU itself reports a fault."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="gpu_fault",
    kind=Kind.HARDWARE,
    explanation="The GPU reported a fault that a restart of the engine does not mend.",
    advice=(
        "Look at 'journalctl -k -g NVRM' and nvidia-smi; the GPU needs a reset, a reboot or a"
        " replacement."
    ),
    signatures=(
        r"uncorrectable ECC error",
        r"GPU is lost",
        r"fallen off the bus",
        r"CUDA error: unknown error",
        r"CUDA error: hardware stack error",
    ),
    marks=frozenset(f"xid_{code}" for code in (48, 63, 64, 79, 94, 95, 119, 120, 154)),
)
