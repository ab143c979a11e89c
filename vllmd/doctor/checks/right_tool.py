"""Another program may serve better here."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "right-tool"
SMALL = 1_000_000_000


def check(case: Case) -> Iterator[Finding]:
    """Find a model, a host or a use that vLLM is not made for, and say so kindly."""
    if case.engine.is_stand_in:
        return
    others = "llama.cpp or Ollama start in seconds and need less of everything."
    if case.host.gpus == ():
        yield Finding(
            ID,
            Severity.INFO,
            "no NVIDIA GPU was found",
            "vLLM serves from a CPU, but is made for many requests at once on GPUs.",
            others,
        )
    count = case.model.parameters
    if 0 < count < SMALL and "quantization_config" not in case.model.config:
        yield Finding(
            ID,
            Severity.INFO,
            f"the model has {count / 1e6:,.0f} million parameters",
            "A model that small is seldom limited by the GPU.",
            others,
        )
    if case.engine.max_num_seqs == 1:
        yield Finding(
            ID,
            Severity.INFO,
            "max_num_seqs = 1",
            "What vLLM is good at is many requests at once.",
            f"Raise it; or, for one user at a time: {others}",
        )
