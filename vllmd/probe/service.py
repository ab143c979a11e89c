"""The answers of all engines: where their probers are wired to the rest."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from vllmd.config import paths
from vllmd.config.command import Command, Commands
from vllmd.config.group import is_member
from vllmd.config.model import Config, EngineConfig
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.probe.asking import Asker
from vllmd.probe.prober import EngineView, Prober
from vllmd.probe.reference import FILE_VERSION
from vllmd.probe.status import ProbeStatus
from vllmd.util.clock import Clock
from vllmd.util.disk_thread import DiskWork
from vllmd.util.parts import Part
from vllmd.util.state_file import StateFile


class ProbeService:
    """A prober for each engine that has a table `probe`, and an API: of a group the head."""

    def __init__(
        self,
        config: Config,
        commands: Commands,
        view: Callable[[EngineConfig], EngineView],
        client: httpx.AsyncClient,
        clock: Clock,
        on_disk: DiskWork,
    ) -> None:
        """Make it; `view` returns what a prober is told of an engine."""
        self._view, self._client, self._clock, self._on_disk = view, client, clock, on_disk
        self._probers: dict[str, Prober] = {}
        self.configure(config, commands)

    def configure(self, config: Config, commands: Commands) -> None:
        """Keep to another configuration: what is known of an engine's answers stays."""
        self._engines = tuple(config.engines)
        self._members = frozenset(n for n, each in config.engines.items() if is_member(each))
        folder = paths.state_dir(config) / "engines"
        probers = {}
        for name, engine in config.engines.items():
            if engine.probe is None or name in self._members:
                continue
            if (prober := self._probers.get(name)) is not None:
                prober.configure(engine, commands[name])
                probers[name] = prober
                continue
            file = StateFile(
                folder / f"{name}.probe.json",
                if_unusable="its answers are recorded anew",
                if_not_written="the next daemon records its answers anew",
                version=FILE_VERSION,
                do=self._on_disk,
            )
            probers[name] = Prober(
                engine, commands[name], self._view(engine), self._asker, file, self._clock
            )
        for name in self._probers.keys() - probers.keys():
            self._probers[name].close()
        self._probers = probers

    def _asker(self, engine: EngineConfig, command: Command) -> Asker:
        return Asker(self._client, engine.url, engine.served_names[0], command.api_key)

    def parts(self) -> list[Part]:
        """Return what is to run: a prober for each engine."""
        return [
            Part(f"probe:{name}", prober.run, engine=name) for name, prober in self._probers.items()
        ]

    # --- what others ask of it ---------------------------------------------------------------

    def figures(self) -> Mapping[str, ProbeStatus]:
        """Return how the answers of each engine stand."""
        return {name: prober.status for name, prober in self._probers.items()}

    def shown(self, name: str) -> Mapping[str, Any] | None:
        """Return how the answers of an engine stand; None if they are not looked at."""
        prober = self._probers.get(name)
        return prober.status.to_json() if prober is not None else None

    async def ask(self, name: str, record_by: str | None = None) -> dict[str, Any]:
        """Look at an engine's answers now; with a name, take them for right in that name.

        Returns: what is known then.
        Raises: UnknownEngineError: no such engine; HeldError: it cannot be asked now; VllmdError:
            it has no table, or no API.
        """
        if name not in self._engines:
            raise UnknownEngineError.among(name, self._engines)
        if name in self._members:
            raise VllmdError(
                f"{name} has no API here: ask 'vllmd probe {name}' on its group's head"
            )
        if name not in self._probers:
            raise VllmdError(
                f"the answers of {name} are not looked at: add a table [engines.{name}.probe] to "
                "the configuration, then 'vllmd reload'"
            )
        return await self._probers[name].ask_now(record_by)
