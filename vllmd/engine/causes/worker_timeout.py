"""A worker did not answer its EngineCore in time."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="worker_timeout",
    kind=Kind.TRANSIENT,
    explanation="A process that drives a GPU for vLLM (a worker) did not answer in time.",
    advice=(
        "If it comes again, look at the kernel log (journalctl -k -g NVRM): failing GPU "
        "memory shows so first."
    ),
    signatures=(r"RPC call to .* timed out",),
)
