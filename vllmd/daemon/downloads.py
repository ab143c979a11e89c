"""How much of its model an engine that loads has downloaded: by the hub's sizes and the cache."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import httpx

from vllmd.config.command import Commands
from vllmd.config.model import Config
from vllmd.engine.model_files.base_model import hub_cache
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.pulling.cache import ModelCache
from vllmd.pulling.repository import Hub, PullError, Repository
from vllmd.pulling.selection import select
from vllmd.pulling.share import Share, share_of
from vllmd.util.clock import Clock, until_tick

LOOK_S = 5.0
ASK_S = 10.0
BEFORE_WEIGHTS = frozenset({None, "init", "download", "weights"})
"""Phases in which a model is downloaded: vLLM announces the last two before they begin."""


class Downloads:
    """The share of each engine's model that is here, while it is being downloaded.

    The hub is asked for the sizes once in a run, and only where a part of a file shows that the
    engine itself downloads: no host without a network is made to ask.
    """

    def __init__(
        self,
        starting: Callable[[], Sequence[EngineStatus]],
        config: Callable[[], Config],
        commands: Callable[[], Commands],
        clock: Clock,
    ) -> None:
        self._starting = starting
        self._config = config
        self._commands = commands
        self._clock = clock
        self._asked: dict[tuple[str, str | None], Repository | None] = {}
        self._shares: dict[str, Share] = {}

    def known(self) -> Mapping[str, Share]:
        """Return the shares of those that download now, by engine."""
        return self._shares

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(until_tick(self._clock, LOOK_S))

    async def look(self) -> None:
        """Look at each engine that loads; one whose load is over is forgotten."""
        loading = [
            each
            for each in self._starting()
            if each.state is State.LOADING and each.phase in BEFORE_WEIGHTS
        ]
        runs = {(each.name, each.run_id) for each in loading}
        self._asked = {key: found for key, found in self._asked.items() if key in runs}
        shares = {}
        for each in loading:
            share = await asyncio.to_thread(self._share, each)
            if share is not None:
                shares[each.name] = share
        self._shares = shares

    def _share(self, status: EngineStatus) -> Share | None:
        """Return how much is here; None where nothing shows that it downloads."""
        command = self._commands().get(status.name)
        engine = self._config().engines.get(status.name)
        if command is None or engine is None or engine.model.startswith("/"):
            return None
        cache = ModelCache(hub_cache(command.env), engine.model)
        key = status.name, status.run_id
        if key not in self._asked:
            if not cache.has_parts():
                return None
            revision = str(engine.flags.get("revision") or "main")
            self._asked[key] = _look_up(engine.model, revision, command.env)
        repository = self._asked[key]
        return share_of(cache, select(repository.files)) if repository else None


def _look_up(model: str, revision: str, env: Mapping[str, str]) -> Repository | None:
    with httpx.Client(timeout=ASK_S) as client:
        try:
            return Hub(client, env, env.get("HF_TOKEN")).look_up(model, revision)
        except PullError:  # the engine says itself what it cannot get
            return None
