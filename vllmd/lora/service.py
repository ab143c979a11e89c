"""The adapters of all engines: where their reconcilers are wired to the rest."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import structlog

from vllmd.config import paths
from vllmd.config.command import Commands
from vllmd.config.group import is_member
from vllmd.config.model import Config
from vllmd.engine.status import EngineStatus
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.events.base import emit
from vllmd.events.lora import LoraFailed
from vllmd.lora.adapter_status import AdapterStatus
from vllmd.lora.api import LoraApi
from vllmd.lora.desired import AdapterStateFile
from vllmd.lora.inspector import Inspector
from vllmd.lora.reconciler import LoraReconciler
from vllmd.util.clock import Clock
from vllmd.util.parts import Part

_log = structlog.get_logger()


class LoraService:
    """A reconciler for each engine that has a table `lora`."""

    def __init__(
        self,
        config: Config,
        commands: Commands,
        statuses: Callable[[], Sequence[EngineStatus]],
        client: httpx.AsyncClient,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._statuses = statuses
        self._client = client
        self.reconcilers: dict[str, LoraReconciler] = {}
        self._given: dict[str, object] = {}
        self.configure(config, commands)

    def configure(self, config: Config, commands: Commands) -> None:
        """Keep to another configuration: what is known of adapters that are loaded stays."""
        self._engines = tuple(config.engines)
        folder = paths.state_dir(config) / "engines"
        reconcilers = {}
        for name, engine in config.engines.items():
            if engine.lora is None or is_member(engine):
                continue
            command = commands[name]
            if name in self.reconcilers and self._given.get(name) == (engine, command):
                reconcilers[name] = self.reconcilers[name]
                continue
            self._given[name] = engine, command
            api = LoraApi(self._client, engine.url, command.api_key)
            inspector = Inspector(engine, command.env)
            if reconciler := self.reconcilers.get(name):
                reconciler.configure(engine, api, inspector)
                reconcilers[name] = reconciler
            else:
                state_file = AdapterStateFile(folder / f"{name}.lora.json")
                status = functools.partial(_status_of, self._statuses, name)
                reconcilers[name] = LoraReconciler(
                    engine, api, state_file, inspector, status, self._clock
                )
        self.reconcilers = reconcilers

    def parts(self) -> list[Part]:
        """Return what is to run: a reconciler for each engine."""
        return [
            Part(f"lora:{name}", reconciler.run, engine=name)
            for name, reconciler in self.reconcilers.items()
        ]

    async def settled(self, name: str) -> bool:
        """Tell whether the start of an engine is over for its adapters."""
        try:
            return name not in self.reconcilers or await self.reconcilers[name].settled()
        except Exception:  # noqa: BLE001 - an engine serves, whatever is wrong here
            emit(_log, LoraFailed(), exc_info=True, engine=name, level="error")
            return True

    def forget(self, name: str) -> None:
        """Note that an engine is gone."""
        if name in self.reconcilers:
            self.reconcilers[name].forget()

    def names(self, name: str) -> tuple[str, ...]:
        """Return the adapters that an engine is to have."""
        return self.reconcilers[name].names() if name in self.reconcilers else ()

    # --- what others ask of it ---------------------------------------------------------------

    def figures(self) -> Mapping[str, Sequence[AdapterStatus]]:
        """Return how each adapter stands, by engine."""
        return {name: reconciler.statuses() for name, reconciler in self.reconcilers.items()}

    def to_json(self) -> list[dict[str, Any]]:
        """Return all of it as `vllmd lora list` shows it."""
        return [reconciler.to_json() for reconciler in self.reconcilers.values()]

    def reconciler(self, name: str) -> LoraReconciler:
        """Return an engine's reconciler.

        Raises: UnknownEngineError: no such engine; VllmdError: it has no adapters.
        """
        if name not in self._engines:
            raise UnknownEngineError.among(name, self._engines)
        if name not in self.reconcilers:
            raise VllmdError(
                f"{name} serves no adapters: add a table [engines.{name}.lora] to the "
                f"configuration, then 'vllmd reload --apply' (it restarts {name})"
            )
        return self.reconcilers[name]


def _status_of(statuses: Callable[[], Sequence[EngineStatus]], name: str) -> EngineStatus:
    return next(status for status in statuses() if status.name == name)
