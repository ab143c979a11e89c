"""Can an engine's weights be kept in GPU memory beside it (`preload = true`)?"""

import re
from collections.abc import Iterator

from vllmd.config.preload import FIRST_VERSION, UNSUPPORTED_QUANTIZATION
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity

OFF = "Set preload = false."
ONLINE = "fp8"
"""A method that may quantize at the load: vLLM hands over what a checkpoint stores so alone.

Source: `UnsupportedQuantForIPCError` in vllm/model_executor/model_loader/weight_cache/protocol.py,
and `get_model` in daemon.py, of 0.32."""


def preload(case: Case) -> Iterator[Finding]:
    """Find a vLLM, a platform or a quantization that cannot hand weights over."""
    if not case.engine.preload or case.engine.is_stand_in:
        return
    for found, reason, fix in (_version(case), _platform(case), _quantization(case)):
        if found:
            yield Finding("preload", FindingSeverity.ERROR, found, reason, fix)


_NOTHING = ("", "", "")
_Said = tuple[str, str, str]


def _version(case: Case) -> _Said:
    version = case.installed.version if case.installed else ""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) >= FIRST_VERSION:
        return _NOTHING
    first = ".".join(map(str, FIRST_VERSION))
    return (
        f"preload = true, and vLLM {version} has no 'vllm preload'",
        f"It came with {first}: the weights cannot be kept, and the engine loads them itself.",
        f"vllmd engine install {first}.0, or a later one; or set preload = false.",
    )


def _platform(case: Case) -> _Said:
    if not case.on_cpu:
        return _NOTHING
    return (
        "preload = true, and the engine computes on the CPU",
        "vLLM hands weights over by CUDA's handles alone (CUDA and ROCm), and such an engine ends "
        "at its start.",
        OFF,
    )


def _quantization(case: Case) -> _Said:
    said = case.model.config.get("quantization_config")
    method = said.get("quant_method") if isinstance(said, dict) else None
    asked = case.engine.quantization
    if method in UNSUPPORTED_QUANTIZATION:
        found = f"preload = true, and the model's weights are quantized by {method!r}"
    elif asked == ONLINE and case.model.config and method is None:
        found = f"preload = true, and quantization = {asked!r} quantizes the weights at the load"
    else:
        return _NOTHING
    return (
        found,
        "vLLM does not hand such weights over (UnsupportedQuantForIPCError), and such an engine "
        "ends at its start.",
        f"{OFF[:-1]}; or take a checkpoint that is stored in FP8, MXFP4, NVFP4, or not quantized.",
    )
