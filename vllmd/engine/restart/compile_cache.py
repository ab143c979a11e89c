"""vLLM's cache of compiled graphs, set aside when one of them cannot be used."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from vllmd.config.paths import cache_home

NAME = "torch_compile_cache"
ASIDE = "torch_compile_cache.unusable"


def vllm_cache(env: Mapping[str, str]) -> Path:
    """Return where an engine with that environment keeps what it can make again.

    Source: `VLLM_CACHE_ROOT` in vllm/envs.py: else `$XDG_CACHE_HOME/vllm`, else `~/.cache/vllm`.
    """
    return Path(env.get("VLLM_CACHE_ROOT") or cache_home(env) / "vllm").expanduser()


def folder(env: Mapping[str, str]) -> Path:
    """Return where an engine with that environment keeps its compiled graphs."""
    return vllm_cache(env) / NAME


def set_aside(env: Mapping[str, str]) -> Path | None:
    """Rename the cache; one that was set aside earlier is removed, so that they do not pile up.

    Returns: where it is now; None if there was none.
    Raises: OSError: it cannot be renamed; the caller says so.
    """
    source = folder(env)
    if not source.exists():
        return None
    target = source.with_name(ASIDE)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(source, target)
    return target
