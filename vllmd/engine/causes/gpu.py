"""The GPU, its driver, and the build of vLLM for it."""

from vllmd import xids
from vllmd.engine.causes.base import Cause, Kind, Rank
from vllmd.xids import Action

CAUSES = (
    Cause(
        name="gpu_fault",
        kind=Kind.HARDWARE,
        rank=Rank.HOST,
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
    ),
    Cause(
        name="driver_mismatch",
        kind=Kind.DRIVER,
        rank=Rank.HOST,
        explanation=(
            "The NVIDIA driver is missing, too old for this vLLM, or was changed while it was "
            "loaded."
        ),
        advice="Install a fitting driver; after a driver upgrade, reboot.",
        signatures=(
            r"driver version is insufficient",
            r"Driver/library version mismatch",
            r"Found no NVIDIA driver",
            r"driver on your system is too old",
            r"Error 803: system has unsupported",
        ),
    ),
    Cause(
        name="missing_kernels",
        kind=Kind.CONFIGURATION,
        rank=Rank.HOST,
        explanation="This build of vLLM has no code for this GPU, or does not fit its libraries.",
        advice="Install a build of vLLM for this GPU's compute capability.",
        signatures=(
            r"no kernel image is available for execution",
            r"undefined symbol:",
        ),
    ),
    Cause(
        name="cuda_error",
        kind=Kind.TRANSIENT,
        rank=Rank.BROAD,
        explanation="A CUDA call failed; the process that made it cannot use the GPU any longer.",
        advice=(
            "If it comes again, look at 'vllmd gpu' for an Xid and run with CUDA_LAUNCH_BLOCKING=1."
        ),
        signatures=(r"CUDA error: ",),
        marks=xids.marks(Action.RESTART),
    ),
)
