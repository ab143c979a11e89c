"""Flags that vLLM had and has no more, with what to do about each. Pure.

Source: vllm/engine/arg_utils.py of 0.6.6, 0.8.5, 0.11.0, 0.19.0 and 0.32.0: in which they are.
"""

from collections.abc import Mapping

_BEFORE_V1 = "take the line out: it was of the engine before V1"
_SPECULATIVE = (
    "write flags.speculative-config = { model = …, num_speculative_tokens = … } in its place"
)
_ROPE = "write flags.hf-overrides = { rope_parameters = … } in its place"

REMOVED: Mapping[str, str] = {
    "disable-log-requests": "take the line out: requests are logged only if enable-log-requests is "
    "set",
    "swap-space": _BEFORE_V1,
    "num-scheduler-steps": _BEFORE_V1,
    "multi-step-stream-outputs": _BEFORE_V1,
    "use-v2-block-manager": _BEFORE_V1,
    "num-lookahead-slots": _BEFORE_V1,
    "preemption-mode": _BEFORE_V1,
    "disable-async-output-proc": _BEFORE_V1,
    "speculative-model": _SPECULATIVE,
    "num-speculative-tokens": _SPECULATIVE,
    "ngram-prompt-lookup-max": _SPECULATIVE,
    "worker-use-ray": 'write flags.distributed-executor-backend = "ray" in its place',
    "guided-decoding-backend": "write flags.structured-outputs-config = { backend = … } in its "
    "place",
    "task": "write flags.runner or flags.convert in its place",
    "rope-scaling": _ROPE,
    "rope-theta": _ROPE,
    "cuda-graph-sizes": "write flags.cudagraph-capture-sizes in its place",
    "max-seq-len-to-capture": "write flags.max-cudagraph-capture-size in its place",
    "device": "take the line out: the build of vLLM decides",
    "enable-prompt-adapter": "take the line out: vLLM has no prompt adapters any more",
    "lora-extra-vocab-size": "take the line out: adapters may not add words any more",
    "enable-reasoning": "take the line out: reasoning-parser alone turns it on",
}
"""By name, without the dashes. One that a version still has is none of these for it."""

_PREFIXES = ("enable-", "disable-", "no-", "")


def what_to_do(name: str) -> str:
    """Return what to do about a flag that is gone; nothing if it never was one."""
    return REMOVED.get(name.replace("_", "-"), "")


def are_opposite(one: str, other: str) -> bool:
    """Tell whether two flags turn the same on and off: the one is no advice for the other."""
    parts = [
        next((p, name.removeprefix(p)) for p in _PREFIXES if name.startswith(p))
        for name in (one.replace("_", "-"), other.replace("_", "-"))
    ]
    return parts[0][1] == parts[1][1] and parts[0][0] != parts[1][0]
