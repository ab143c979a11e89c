"""The context length is more than the model was made for, or all of it."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "context-length"
LONG = 65_536
"""A context of so many tokens is more than most requests have."""


def check(case: Case) -> Iterator[Finding]:
    """Find a limit that vLLM refuses, and one that nobody chose."""
    architecture = case.model.architecture
    if architecture is None or architecture.longest is None:
        return
    most, asked = architecture.longest, case.engine.max_model_len
    if isinstance(asked, int) and asked > most and not _stretched(case):
        yield Finding(
            ID,
            Severity.ERROR,
            f"max_model_len = {asked:,}, and the model was made for {most:,} tokens",
            "vLLM refuses it 12 seconds into the start.",
            f"Set max_model_len = {most} or less, or stretch the model with flags.hf-overrides "
            "(rope_parameters).",
        )
    elif asked in (None, most) and most >= LONG:
        yield Finding(
            ID,
            Severity.INFO,
            f"max_model_len is the model's own {most:,} tokens",
            "One request may hold a large part of the KV cache, and a start needs room for it.",
            "Set max_model_len to what your longest prompt and answer need.",
        )


def _stretched(case: Case) -> bool:
    return bool(
        case.flag("hf-overrides")
        or case.flag("rope-scaling")
        or case.env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1"
    )
