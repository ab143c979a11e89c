"""One of several worker processes ended under its EngineCore."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="worker_died",
    kind=Kind.TRANSIENT,
    explanation=(
        "A process that drives a GPU for vLLM (a worker) was killed or crashed; the rest of vLLM "
        "ended after it, with exit code 0 as a rule."
    ),
    advice="If nobody killed it, look for the kernel's OOM killer: journalctl -k -g oom.",
    signatures=(r"[Ww]orker ?[Pp]roc \S+ died unexpectedly",),
)
