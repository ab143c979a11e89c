"""EngineCore ended under the API server, without a word of its own."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="engine_core_died",
    kind=Kind.TRANSIENT,
    explanation=(
        "The part of vLLM that computes (its process EngineCore) was killed or crashed without a "
        "word; vLLM's web server ended after it, with exit code 0 as a rule."
    ),
    advice="If nobody killed it, look for the kernel's OOM killer: journalctl -k -g oom.",
    signatures=(
        r"engine core exited unexpectedly",
        r"Engine ?[Cc]ore .*died unexpectedly",
        r"EngineDeadError",
    ),
)
