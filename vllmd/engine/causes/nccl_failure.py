"""The GPUs of one engine lost each other."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="nccl_failure",
    kind=Kind.TRANSIENT,
    explanation="The GPUs of the engine could not talk to each other in time.",
    advice=(
        "If it comes again, look at the kernel log (journalctl -k -g NVRM) and run the engine"
        " with NCCL_DEBUG=INFO in its env."
    ),
    signatures=(
        r"Watchdog caught collective operation timeout",
        r"NCCL error",
        r"ncclSystemError",
        r"ncclUnhandledCudaError",
        r"ncclRemoteError",
    ),
)
