"""What the GPU cannot compute: types, quantizations and attention beyond its compute capability.

Where nobody knows the GPU's, nothing is said of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from vllmd.doctor import compute
from vllmd.doctor.case import Case
from vllmd.doctor.compute import Capability, text
from vllmd.doctor.finding import Finding, FindingSeverity

HALF = ("half", "float16")


def compute_capability(case: Case) -> Iterator[Finding]:
    """Find a type, a quantization or an attention that the GPU cannot compute."""
    has = case.capability
    if case.on_cpu or case.engine.is_stand_in:
        return
    yield from _half(case, has)
    if has is None:
        return
    yield from _bfloat16(case, has)
    yield from _cache(case, has)
    yield from _quantization(case, has)
    yield from _attention(case, has)


def _beyond(
    has: Capability, severity: FindingSeverity, wanted: str, reason: str, fix: str
) -> Finding:
    found = f"{wanted}, and the GPU has compute capability {text(has)}"
    return Finding("compute-capability", severity, found, reason, fix)


def _dtype(case: Case) -> str:
    return str(case.flag("dtype") or "auto").lower()


def _model_type(case: Case) -> str:
    inner = case.model.config.get("text_config") or case.model.config
    return str(inner.get("model_type")) if isinstance(inner, Mapping) else ""


def _set(case: Case, line: str) -> str:
    return f"Set in [engines.{case.engine.name}.flags]: {line}"


def _half(case: Case, has: Capability | None) -> Iterator[Finding]:
    model = _model_type(case)
    if _dtype(case) not in HALF or model not in compute.NO_HALF:
        return
    other = "float32" if has is not None and has < compute.BFLOAT16 else "bfloat16"
    yield Finding(
        "compute-capability",
        FindingSeverity.ERROR,
        f'dtype = "{_dtype(case)}", and {model} does not compute in float16',
        "vLLM refuses it at its start: the numbers of this model are too large for the type.",
        _set(case, f'dtype = "{other}"'),
    )


def _bfloat16(case: Case, has: Capability) -> Iterator[Finding]:
    if _dtype(case) != "bfloat16" or has >= compute.BFLOAT16:
        return
    other = "float32" if _model_type(case) in compute.NO_HALF else "half"
    yield _beyond(
        has,
        FindingSeverity.ERROR,
        'dtype = "bfloat16"',
        "bfloat16 needs 8.0 or more: vLLM refuses it at its start.",
        _set(case, f'dtype = "{other}"'),
    )


def _backend(case: Case) -> str:
    asked = case.flag("attention-backend") or case.env.get("VLLM_ATTENTION_BACKEND")
    return str(asked or "").upper()


def _cache(case: Case, has: Capability) -> Iterator[Finding]:
    kind = str(case.flag("kv-cache-dtype") or "auto")
    triton = _backend(case) == "TRITON_ATTN"
    needs = compute.FP8_CACHE_TRITON if triton else compute.FP8_CACHE
    if kind == "bfloat16" and has < compute.BFLOAT16:
        yield _beyond(
            has,
            FindingSeverity.ERROR,
            'kv-cache-dtype = "bfloat16"',
            "bfloat16 needs 8.0 or more: vLLM refuses it at its start.",
            _set(case, 'kv-cache-dtype = "float16"'),
        )
    if not kind.startswith("fp8") or has >= needs:
        return
    yield _beyond(
        has,
        FindingSeverity.ERROR,
        f'kv-cache-dtype = "{kind}"',
        f"A KV cache of FP8 needs {text(needs)} or more"
        + (" with TRITON_ATTN." if triton else ": no attention of vLLM reads it below."),
        _set(case, 'kv-cache-dtype = "auto"'),
    )


def _quantization(case: Case, has: Capability) -> Iterator[Finding]:
    stored = case.model.config.get("quantization_config")
    said: Mapping[str, Any] = stored if isinstance(stored, Mapping) else {}
    asked = case.engine.quantization
    method = str(said.get("quant_method") or asked or "")
    needs, made_for = compute.least(method, said), compute.native(method, said)
    if needs is not None and has < needs:
        yield _beyond(
            has,
            FindingSeverity.ERROR,
            f"the quantization is {method}",
            f"{method} needs {text(needs)} or more: vLLM refuses it before it loads.",
            "Take a model that is not quantized, or one in GPTQ."
            if said or not asked
            else f'Take out of [engines.{case.engine.name}]: quantization = "{asked}"',
        )
    elif made_for is not None and has < made_for[1]:
        name, native = made_for
        yield _beyond(
            has,
            FindingSeverity.INFO,
            f"the quantization is {method}",
            f"It computes no {name} (from {text(native)} on): weights are unpacked for each step, "
            "which saves memory and no time.",
            "Nothing has to be done.",
        )


def _attention(case: Case, has: Capability) -> Iterator[Finding]:
    backend = _backend(case)
    needs = compute.backend_needs(backend, has)
    if needs is not None:
        where = "flags.attention-backend"
        if not case.flag("attention-backend"):
            where = "VLLM_ATTENTION_BACKEND in env"
        yield _beyond(
            has,
            FindingSeverity.ERROR,
            f"the attention backend is {backend}",
            f"{backend} needs {needs}: vLLM refuses it.",
            f"Take {where} out: vLLM takes the best that the GPU can.",
        )
    if case.env.get("VLLM_FLASH_ATTN_VERSION") == "3" and has[0] != 9:
        yield _beyond(
            has,
            FindingSeverity.WARNING,
            "VLLM_FLASH_ATTN_VERSION = 3",
            "FlashAttention 3 is for Hopper (9.0).",
            "Take VLLM_FLASH_ATTN_VERSION out of env: vLLM takes the newest that the GPU can.",
        )
