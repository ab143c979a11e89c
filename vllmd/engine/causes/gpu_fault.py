"""The GPU itself reports a fault."""

from vllmd import xids
from vllmd.engine.causes.base import Cause, Kind
from vllmd.xids import Action

CAUSE = Cause(
    name="gpu_fault",
    kind=Kind.HARDWARE,
    explanation="The GPU reported a fault that a restart of the engine does not mend.",
    advice=(
        "Look at 'vllmd gpu' and 'journalctl -k -g NVRM'; the GPU needs a reset, a reboot or a"
        " replacement."
    ),
    signatures=(
        r"uncorrectable ECC error",
        r"GPU is lost",
        r"fallen off the bus",
        r"CUDA error: unknown error",
        r"CUDA error: hardware stack error",
    ),
    marks=xids.marks(Action.RESET, Action.REBOOT),
)
