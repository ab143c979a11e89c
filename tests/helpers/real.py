"""A real vLLM with its tiny model, installed once for all tiers that want one."""

import os
from pathlib import Path

import pytest

from vllmd.demo.real import prepare
from vllmd.errors import InstallError

OF_OTHERS = ("psm_vllmd_", ".org.chromium.")
"""Shared memory of tests that run beside these."""


def shared_memory() -> set[str]:
    """Return the names in /dev/shm that a real vLLM may have made."""
    return {entry.name for entry in os.scandir("/dev/shm") if not entry.name.startswith(OF_OTHERS)}


def program_and_model() -> tuple[Path, Path]:
    """Return the vllm program and the model's folder; skip where none can be had, fail in CI."""
    try:
        return prepare()
    except InstallError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no real vLLM can be had here: {error}")
