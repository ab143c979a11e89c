"""What the engine's settings ask for, and what vLLM makes of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vllmd.config import problem
from vllmd.config.load import UNIT_MARGIN_S
from vllmd.doctor.capacity import tokens_in
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.installing.flags import problems
from vllmd.shim.files import parse_json
from vllmd.util.units import format_duration

GRAVITY = {
    problem.ProblemSeverity.ERROR: FindingSeverity.ERROR,
    problem.ProblemSeverity.WARNING: FindingSeverity.WARNING,
}
LONG_CONTEXT = 65_536
"""A context of so many tokens is more than most requests have."""
USUAL_TOKENS = 512
"""A short prompt and its answer: with less for each, requests take room from each other."""
SMALL_MODEL = 1_000_000_000

FILE_FLAGS = (
    "chat-template", "generation-config", "hf-config-path", "log-config-file",
    "reasoning-parser-plugin", "speculative-config", "ssl-ca-certs", "ssl-certfile",
    "ssl-keyfile", "tokenizer", "tool-parser-plugin",
)  # fmt: skip
"""Flags that name a file or a folder. Source: vLLM 0.32, EngineArgs and cli_args.py."""


def engine_missing(case: Case) -> Iterator[Finding]:
    """Find a program that cannot be run."""
    if case.found:
        return
    program = case.engine.executable[0]
    yield Finding(
        "engine-missing",
        FindingSeverity.ERROR,
        f"executable: no program {program!r} can be run",
        "The engine cannot be started.",
        "Install one with 'vllmd engine install', take one over with 'vllmd engine adopt PATH', or "
        "correct the path.",
    )


def flags(case: Case) -> Iterator[Finding]:
    """Find what the parser would refuse 12 seconds into a start."""
    if case.engine.is_stand_in or case.flag_table is None:
        return
    for each in problems(case.engine, case.flag_table):
        yield Finding(
            "flags",
            GRAVITY[each.severity],
            f"{each.key}: {each.message}",
            "vLLM ends at once with what it does not know, and drops what is deprecated.",
            each.fix,
        )


def flag_files(case: Case) -> Iterator[Finding]:
    """Find a flag that names a file or a folder which is not there."""
    for flag in FILE_FLAGS:
        for path in _paths(case.flag(flag)):
            if not Path(path).exists():
                yield Finding(
                    "flag-files",
                    FindingSeverity.ERROR,
                    f"flags.{flag}: there is no '{path}'",
                    "vLLM reads it when it starts, and ends.",
                    "Correct the path, or make it readable for the user that vllmd runs as.",
                )


def _paths(value: Any) -> Iterator[str]:
    """Yield the absolute path of a flag's value: itself, or a model in JSON.

    A chat template may be given as text instead of a file; other values are names on the hub.
    """
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            value = parse_json(value)
    if isinstance(value, dict):
        value = value.get("model")
    if isinstance(value, str) and value.startswith("/") and not set(value) & set("{}\n"):
        yield value


def context_length(case: Case) -> Iterator[Finding]:
    """Find a limit that vLLM refuses, and one that nobody chose."""
    architecture = case.model.architecture
    if architecture is None or architecture.longest is None:
        return
    most, asked = architecture.longest, case.engine.max_model_len
    if isinstance(asked, int) and asked > most and not _stretched(case):
        yield Finding(
            "context-length",
            FindingSeverity.ERROR,
            f"max_model_len = {asked:,}, and the model was made for {most:,} tokens",
            "vLLM refuses it 12 seconds into the start.",
            f"Set max_model_len = {most} or less, or stretch the model with flags.hf-overrides "
            "(rope_parameters).",
        )
    elif asked in (None, most) and most >= LONG_CONTEXT:
        yield Finding(
            "context-length",
            FindingSeverity.INFO,
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


def concurrency(case: Case) -> Iterator[Finding]:
    """Find a max_num_seqs that ends in preemptions."""
    capacity, model, context = case.capacity, case.model.architecture, case.context
    sequences = case.engine.max_num_seqs
    if capacity is None or model is None or context is None or sequences is None:
        return
    if not capacity.fits:
        return
    usual = min(USUAL_TOKENS, context)
    tokens = tokens_in(capacity.kv_bytes, case.demand, model, usual)
    if tokens >= sequences * usual:
        return
    yield Finding(
        "concurrency",
        FindingSeverity.WARNING,
        f"max_num_seqs = {sequences}, and the KV cache has room for {tokens:,} tokens: "
        f"{tokens // sequences} for each",
        "Requests lose their KV cache to others, and are computed again.",
        f"Set max_num_seqs = {max(1, tokens // usual)} or less, or give it more memory.",
    )


def prefix_caching(case: Case) -> Iterator[Finding]:
    """Find the flag that makes vLLM compute what it knows."""
    if case.engine.enable_prefix_caching is False:
        yield Finding(
            "prefix-caching",
            FindingSeverity.WARNING,
            "enable_prefix_caching = false",
            "System prompts and earlier turns are computed again for each request; the cache takes "
            "no memory that would be used otherwise.",
            "Take the line out, unless you measure without it on purpose.",
        )


def log_stats(case: Case) -> Iterator[Finding]:
    """Find the flag that takes vllmd's eyes."""
    if case.flag("disable-log-stats"):
        yield Finding(
            "log-stats",
            FindingSeverity.WARNING,
            "flags.disable-log-stats is set",
            "vLLM's page is empty: a hang cannot be told from rest, and alerts about requests "
            "cannot fire.",
            "Take it out.",
        )


def stop_timeout(case: Case) -> Iterator[Finding]:
    """Find a drain that is longer than TimeoutStopSec of the engine's unit."""
    engine, allowed = case.engine, case.host.stop_s
    needed = engine.drain_s + engine.stop_grace_s + UNIT_MARGIN_S
    if allowed is None or needed <= allowed:
        return
    yield Finding(
        "stop-timeout",
        FindingSeverity.WARNING,
        f"a stop takes up to {format_duration(needed)} (drain_s, stop_grace_s), and TimeoutStopSec "
        f"is {format_duration(allowed)}",
        "systemd then kills the engine with requests in flight.",
        "systemctl edit vllmd-engine@.service: [Service] TimeoutStopSec="
        f"{int(needed)}; or shorten drain_s.",
    )


def right_tool(case: Case) -> Iterator[Finding]:
    """Find a model, a host or a use that vLLM is not made for, and say so kindly."""
    if case.engine.is_stand_in:
        return
    others = "llama.cpp or Ollama start in seconds and need less of everything."
    if case.host.gpus == ():
        yield Finding(
            "right-tool",
            FindingSeverity.INFO,
            "no NVIDIA GPU was found",
            "vLLM serves from a CPU, but is made for many requests at once on GPUs.",
            others,
        )
    count = case.model.parameters
    if 0 < count < SMALL_MODEL and "quantization_config" not in case.model.config:
        yield Finding(
            "right-tool",
            FindingSeverity.INFO,
            f"the model has {count / 1e6:,.0f} million parameters",
            "A model that small is seldom limited by the GPU.",
            others,
        )
    if case.engine.max_num_seqs == 1:
        yield Finding(
            "right-tool",
            FindingSeverity.INFO,
            "max_num_seqs = 1",
            "What vLLM is good at is many requests at once.",
            f"Raise it; or, for one user at a time: {others}",
        )
