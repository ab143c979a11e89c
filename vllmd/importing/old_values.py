"""Values that vLLM once took and takes no more, as what it takes now for the same. Pure.

Source: vllm/config/compilation.py of 0.11.0 and 0.32.0 (`level` is `mode`, the passes have other
names); vllm/engine/arg_utils.py of 0.8.4 (`nullable_kvs`: ``image=2,video=1``).
"""

import re
from collections.abc import Mapping
from typing import Any

_COMPILATION = "compilation-config"
RENAMED: Mapping[str, str] = {
    "level": "mode",
    "max_capture_size": "max_cudagraph_capture_size",
    "pass_config.enable_attn_fusion": "pass_config.fuse_attn_quant",
    "pass_config.enable_noop": "pass_config.eliminate_noops",
    "pass_config.enable_sequence_parallelism": "pass_config.enable_sp",
    "pass_config.enable_async_tp": "pass_config.fuse_gemm_comms",
    "pass_config.enable_fi_allreduce_fusion": "pass_config.fuse_allreduce_rms",
}
"""Keys of compilation-config, and what they are called now."""
GONE: Mapping[str, str] = {
    "full_cuda_graph": 'write cudagraph_mode = "FULL" in its place',
    "use_cudagraph": 'write cudagraph_mode = "NONE" where it was false',
    "use_inductor": 'write mode = 0 or backend = "eager" where it was false',
    "pass_config.enable_fusion": "write fuse_norm_quant and fuse_act_quant in its place",
}
"""Keys that no key of now is the same as, and what to do."""
_COUNTS = re.compile(r"[a-z_]+=\d+(,[a-z_]+=\d+)*")


def renewed(name: str, value: Any) -> tuple[str, Any, list[str]]:
    """Return a flag and its value as vLLM takes them now, and what was changed, for people.

    The name is empty where nothing is left of it.
    """
    base, _, dotted = name.partition(".")
    if base == "limit-mm-per-prompt" and isinstance(value, str) and _COUNTS.fullmatch(value):
        pairs = dict(each.split("=") for each in value.split(","))
        counts = {key: int(count) for key, count in pairs.items()}
        return name, counts, [f"vLLM takes {value} as a table now"]
    if base != _COMPILATION:
        return name, value, []
    if dotted:
        if dotted in GONE:
            return "", value, [f"vLLM has {dotted} no more: {GONE[dotted]}"]
        now = RENAMED.get(dotted, dotted)
        return f"{base}.{now}", value, [] if now == dotted else [_is_called(dotted, now)]
    if isinstance(value, int) and not isinstance(value, bool):
        return name, {"mode": value}, ["a number alone was its level, which vLLM calls mode now"]
    said: list[str] = []
    made = _table(value, "", said) if isinstance(value, Mapping) else value
    return name if made or not said else "", made, said


def _table(given: Mapping[str, Any], path: str, said: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in given.items():
        whole = f"{path}{key}"
        if whole in GONE:
            said.append(f"vLLM has {whole} no more: {GONE[whole]}")
            continue
        now = RENAMED.get(whole, whole)
        if now != whole:
            said.append(_is_called(whole, now))
        inner = _table(value, f"{whole}.", said) if isinstance(value, Mapping) else value
        made[now.removeprefix(path)] = inner
    return made


def _is_called(before: str, now: str) -> str:
    return f"vLLM calls {before.rpartition('.')[2]} {now.rpartition('.')[2]} now"
