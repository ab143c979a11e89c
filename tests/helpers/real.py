"""A real vLLM with its tiny model, installed once for all tiers that want one."""

import os
from pathlib import Path

import pytest

from vllmd.demo.real import prepare
from vllmd.errors import InstallError


def program_and_model() -> tuple[Path, Path]:
    """Return the vllm program and the model's folder; skip where none can be had, fail in CI."""
    try:
        return prepare()
    except InstallError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no real vLLM can be had here: {error}")
