"""Looks into adapters before vLLM does; each one once, unless its files change."""

import os
from collections.abc import Mapping

from vllmd.config.model import EngineConfig
from vllmd.engine.model_files.base_model import UNKNOWN, Sizes, find_folder, read_sizes
from vllmd.lora import validation
from vllmd.lora.adapter_files import AdapterError, fingerprint, is_local, read_adapter
from vllmd.util.within import run_within

LOOK_S = 60.0
"""The heads of a large model's files, on a slow network, take seconds."""


class Inspector:
    """Knows what one engine can load; the base model's files are read when first needed."""

    def __init__(self, engine: EngineConfig, env: Mapping[str, str]) -> None:
        """Make an inspector; `env` is the engine's, which says where the hub's cache is."""
        assert engine.lora is not None
        self._model = engine.model
        self._max_rank = engine.lora.max_lora_rank
        self._env = env
        self._sizes: Sizes | None = None
        self._verdicts: dict[str, tuple[str, str | None]] = {}

    async def problem(self, path: str) -> str | None:
        """Say why an adapter cannot be loaded; None if it can, or if only vLLM can tell."""
        if not is_local(path):
            return None  # a name on the hub: vLLM fetches it
        try:
            return await run_within(path, lambda: self._inspect(path), LOOK_S)
        except TimeoutError as error:
            return f"{path}: {error.strerror}"

    def _inspect(self, path: str) -> str | None:
        path = os.path.expanduser(path)
        files = fingerprint(path)
        known = self._verdicts.get(path)
        if known is not None and files and known[0] == files:
            return known[1]
        try:
            adapter = read_adapter(path)
        except AdapterError as error:
            return str(error)
        found = validation.problems(adapter, self._max_rank, self._model, self._base())
        said = "; ".join(found) or None
        self._verdicts[path] = (files, said)
        return said

    def _base(self) -> Sizes:
        if not self._sizes:
            folder = find_folder(self._model, self._env)
            self._sizes = read_sizes(folder) if folder else UNKNOWN
        return self._sizes
