"""vLLM does not know a flag, or not with that value."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="unknown_flag",
    kind=Kind.CONFIGURATION,
    explanation=(
        "This version of vLLM does not know one of its flags, or does not take that value for it."
    ),
    advice=(
        "Correct the flag in the engine's configuration; 'vllm serve --help=all' lists what "
        "this version knows."
    ),
    signatures=(
        r"error: unrecognized arguments",
        r"error: argument --",
        r"error: ambiguous option",
    ),
)
