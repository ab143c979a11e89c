"""A quantized model is served by its slow kernel."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "quantization"
SLOW = {"awq": "awq_marlin", "gptq": "gptq_marlin"}


def check(case: Case) -> Iterator[Finding]:
    """Find a method that was named, and is not the best for these weights."""
    asked = case.engine.quantization
    stored = (case.model.config.get("quantization_config") or {}).get("quant_method")
    if asked in SLOW:
        yield Finding(
            ID,
            Severity.WARNING,
            f'quantization = "{asked}"',
            f"That is the kernel without Marlin, several times slower; vLLM takes {SLOW[asked]} by "
            "itself where the GPU can, if it is not told otherwise.",
            "Take the line out.",
        )
    elif asked and stored and not asked.startswith(str(stored)):
        yield Finding(
            ID,
            Severity.ERROR,
            f'quantization = "{asked}", and the weights are {stored}',
            "vLLM refuses a method that is not that of the files.",
            "Take the line out: vLLM reads it from config.json.",
        )
