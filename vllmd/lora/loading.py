"""One adapter loaded into an engine, or unloaded: checked before, told once, tried again."""

import structlog

from vllmd.config.model import EngineConfig
from vllmd.events.base import emit
from vllmd.events.daemon import StateFileNotWritten
from vllmd.events.lora import LoraFailed, LoraLoaded, LoraUnloaded
from vllmd.lora import plan
from vllmd.lora.adapter_files import is_local
from vllmd.lora.adapter_status import AdapterStatuses
from vllmd.lora.api import LoraApi, LoraApiError
from vllmd.lora.desired import AdapterSource, AdapterStateFile, DesiredAdapter
from vllmd.lora.inspector import Inspector
from vllmd.util.clock import Clock

OLD_RUN = "it runs without adapters that change: 'vllmd restart {}' makes it so"


class AdapterLoading:
    """The adapters that an engine has; whoever keeps them as they are wanted is one.

    What was begun in another run than `_run` says nothing of the one that there is.
    """

    problem: str | None
    _engine: EngineConfig
    _api: LoraApi
    _inspector: Inspector
    _state_file: AdapterStateFile
    _clock: Clock
    _log: structlog.stdlib.BoundLogger
    _statuses: AdapterStatuses
    _wanted: dict[str, DesiredAdapter]
    _loaded: dict[str, str]
    _again: set[str]
    _run: int

    async def _load(self, name: str, want: DesiredAdapter, files: str, run: int) -> None:
        """Load one adapter, checked before; what keeps it from loading is said once."""
        before = self._loaded.get(name)
        self._again.discard(name)  # whoever asks again from here on is heard
        problem = await self._inspector.problem(want.path)
        if run != self._run or self._wanted.get(name) != want:
            return
        if problem is not None:
            self._failed(name, want, problem, files)
            return
        path = want.path
        if before is not None and plan.same(path, before) and is_local(path):
            path = plan.another_name(path, before)
        began = self._clock.monotonic()
        try:
            await self._api.load(name, path, in_place=before is not None)
        except LoraApiError as error:
            if run != self._run or self._wanted.get(name) != want:
                return  # the engine is gone, or nobody wants it: that says nothing of the adapter
            if error.absent:
                self._report(OLD_RUN.format(self._engine.name))
            self._failed(name, want, str(error), files)
            return
        if run != self._run:
            return
        duration_s = self._clock.monotonic() - began
        self._loaded[name] = path
        self._statuses.loaded(name, files, self._clock.time(), duration_s)
        told = LoraLoaded(
            adapter=name,
            path=want.path,
            source=str(want.source),
            replaced=before is not None,
            duration_s=round(duration_s, 3),
        )
        emit(self._log, told)
        await self._own(name, owned=True)

    def _failed(self, name: str, want: DesiredAdapter, reason: str, files: str) -> None:
        now = self._clock.monotonic()
        copied = want.source is AdapterSource.DIRECTORY  # it may be on its way just now
        news = self._statuses.failed(
            name, reason, files, at=self._clock.time(), now=now, settle=copied
        )
        if news:
            then = "the engine serves without it; it is retried"
            failed = LoraFailed(adapter=name, path=want.path, reason=reason, consequence=then)
            emit(self._log, failed, level="error")

    async def _unload(self, name: str, run: int) -> None:
        began = self._clock.monotonic()
        try:
            await self._api.unload(name)
        except LoraApiError as error:
            if run != self._run:
                return
            self._report(
                OLD_RUN.format(self._engine.name)
                if error.absent
                else f"{name} is not unloaded: {error}"
            )
            return
        path = self._loaded.pop(name, None)
        await self._own(name, owned=False)
        duration_s = round(self._clock.monotonic() - began, 3)
        emit(self._log, LoraUnloaded(adapter=name, path=path, duration_s=duration_s))

    async def _own(self, name: str, *, owned: bool) -> None:
        """Remember which adapters are ours, so that a later daemon may unload them."""
        try:
            await self._state_file.change_loaded(name, owned=owned)
        except OSError as error:
            emit(
                self._log,
                StateFileNotWritten(
                    path=str(self._state_file.path),
                    problem=str(error),
                    consequence="an adapter may later be taken for one that another client loaded",
                ),
            )

    def _report(self, problem: str | None) -> None:
        if problem and problem != self.problem:
            emit(self._log, LoraFailed(adapter=None, reason=problem))
        self.problem = problem
