"""Keeps the adapters of one engine as they are wanted: loads, unloads, verifies, tries again."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from vllmd.config import lora
from vllmd.config.model import EngineConfig
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.errors import VllmdError
from vllmd.events.base import emit
from vllmd.events.lora import LoraChangedElsewhere, LoraFailed
from vllmd.lora import desired, plan
from vllmd.lora.adapter_files import fingerprint, is_local
from vllmd.lora.adapter_status import AdapterStatus, AdapterStatuses
from vllmd.lora.api import LoraApi, LoraApiError
from vllmd.lora.desired import AdapterSource, AdapterStateFile, DesiredAdapter, FolderError
from vllmd.lora.inspector import Inspector
from vllmd.lora.loading import AdapterLoading
from vllmd.util.clock import Clock, until_tick, wait_event
from vllmd.util.parts import describe

SETTLE_POLL_S = 0.2
SETTLE_S = 120.0
"""A start waits so long at most for adapters: those that are late are loaded while it serves."""


class LoraReconciler(AdapterLoading):
    """The adapters of one engine. Everything that asks for the disk is done in a thread."""

    def __init__(
        self,
        engine: EngineConfig,
        api: LoraApi,
        state_file: AdapterStateFile,
        inspector: Inspector,
        status: Callable[[], EngineStatus],
        clock: Clock,
    ) -> None:
        """Make a reconciler; `status` returns what the engine does now."""
        self.engine = engine.name
        self._state_file = state_file
        self._status = status
        self._clock = clock
        self._statuses = AdapterStatuses()
        self._folder: str | None = None
        self._found: Mapping[str, str] = {}
        """What the folder had when it was last read."""
        self._wanted: dict[str, DesiredAdapter] = {}
        self._loaded: dict[str, str] = {}
        self._reported: frozenset[str] = frozenset()
        self._again: set[str] = set()
        self._settling: asyncio.Task[None] | None = None
        self._settled = False
        self._run = 0
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._log = structlog.get_logger().bind(engine=engine.name)
        self.problem: str | None = None
        """What concerns all adapters: the folder, or the engine's answers; None if nothing does."""
        state_file.read()
        self.configure(engine, api, inspector)

    def configure(self, engine: EngineConfig, api: LoraApi, inspector: Inspector) -> None:
        """Take over other settings; how adapters stand that are still wanted is kept."""
        assert engine.lora is not None
        if engine.lora.directory != self._folder:
            self._folder, self._found = engine.lora.directory, {}
        self._engine, self._lora = engine, engine.lora
        self._api, self._inspector = api, inspector
        self.dynamic = lora.dynamic(engine)
        self._want()
        self._wake.set()

    # --- what others ask of it ---------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """Return the names of the adapters that are wanted."""
        return tuple(self._wanted)

    def statuses(self) -> list[AdapterStatus]:
        """Return how each adapter stands: those wanted, then those that somebody else loaded."""
        now = self._statuses
        wanted = [now.of(name, want, self._loaded.get(name)) for name, want in self._wanted.items()]
        others = sorted(self._loaded.keys() - self._wanted.keys())
        return wanted + [now.unlisted(name, self._loaded[name]) for name in others]

    async def settled(self) -> bool:
        """Tell whether a start is over for the adapters; the first call in a run begins with them.

        An adapter that cannot be loaded does not keep an engine from serving, and one that serves
        already waits for none.
        """
        if self._settled:
            return True
        task = self._settling = self._settling or asyncio.create_task(self._settle())
        await asyncio.wait({task}, timeout=SETTLE_POLL_S)
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            self._settled = True
            self._late(f"adapters are not loaded: {describe(error)}")
        return self._settled or self._status().adopted

    def forget(self) -> None:
        """Note that the engine is gone, and its adapters with it."""
        self._loaded = {}
        self._settled = False
        self._run += 1
        self._reported = frozenset()
        self._statuses.restarted()
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    async def add(self, name: str, path: str) -> None:
        """Want an adapter from now on.

        Raises: VllmdError: it cannot be loaded, and nothing changed; OSError: not written down.
        """
        self._refuse_static()
        if problem := lora.name_problem(name):
            raise VllmdError(f"{name!r} cannot be served: {problem}")
        if name in self._engine.served_names:
            raise VllmdError(f"{name!r} is the base model's name: give the adapter another one")
        want = self._wanted.get(name)
        if want is not None and want.source is not AdapterSource.COMMAND:
            raise VllmdError(f"{name!r} is {_where(want, self._lora)} already, as {want.path}")
        if want is not None and want.path == path:
            return
        if problem := await self._inspector.problem(path):
            raise VllmdError(f"{name} cannot be loaded: {problem}")
        await self._keep(lambda added: {**added, name: path})

    async def remove(self, name: str) -> None:
        """Want an adapter no more that was added by command.

        Raises: VllmdError: it was not; OSError: not written down.
        """
        self._refuse_static()
        want = self._wanted_one(name)
        if want.source is AdapterSource.FILE:
            raise VllmdError(
                f"{name} is in the configuration: take it out of engines.{self._engine.name}."
                "lora.modules, then 'vllmd reload'"
            )
        if want.source is AdapterSource.DIRECTORY:
            raise VllmdError(f"{name} is in {self._lora.directory}: move {want.path} away")
        await self._keep(lambda added: {n: p for n, p in added.items() if n != name})

    def reload(self, name: str) -> None:
        """Have an adapter's files read again.

        Raises: VllmdError: there is none of that name.
        """
        self._refuse_static()
        self._wanted_one(name)
        self._again.add(name)
        self._statuses.retry(name)
        self._wake.set()

    async def run(self) -> None:
        """Keep to what is wanted until cancelled."""
        while True:
            self._wake.clear()
            async with self._lock:
                await self._look()
                if self._status().state is State.READY:
                    await self._reconcile()
            pause_s = until_tick(self._clock, self._lora.check_s)
            await wait_event(self._wake, pause_s, self._clock)

    # --- its work ----------------------------------------------------------------------------

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(SETTLE_S), self._lock:
                await self._look()
                await self._reconcile()
        except TimeoutError:
            self._late(f"adapters are not loaded after {SETTLE_S:g} s")
        self._settled = True

    def _late(self, reason: str) -> None:
        consequence = "the engine serves without them; they are loaded meanwhile"
        emit(self._log, LoraFailed(adapter=None, reason=reason, consequence=consequence))

    async def _look(self) -> None:
        """Find out what is wanted."""
        await self._state_file.read_again()
        if self._lora.directory is not None:
            try:
                self._found = await asyncio.to_thread(desired.scan, self._lora.directory)
                self._report(None)
            except FolderError as error:
                self._report(f"{error}; its adapters stay as they are")
        self._want()

    def _want(self) -> None:
        served = self._engine.served_names
        added = self._state_file.added if self.dynamic else {}
        wanted = desired.merge(self._lora.modules, self._found, added)
        self._wanted = {name: want for name, want in wanted.items() if name not in served}
        self._statuses.retain(self._wanted)
        self._again &= self._wanted.keys()

    async def _reconcile(self) -> None:
        """Ask the engine what it has, and do what is to be done.

        After each wait, others may be wanted, or this run of the engine may be over.
        """
        run = self._run
        try:
            listed = dict(await self._api.listed())
        except LoraApiError as error:
            if run == self._run:
                self._report(f"the engine does not say what it has loaded: {error}")
            return
        if run != self._run:
            return
        self._loaded, wanted = listed, self._wanted
        todo = plan.steps(
            wanted,
            listed,
            ours=self._state_file.loaded,
            unload_unlisted=self._state_file.is_read and lora.unloads_unlisted(self._engine),
            again=self._again,
        )
        self._note_lost(todo)
        self._note_unlisted(todo)
        if not self.dynamic:
            for name in wanted.keys() & listed.keys():
                files = await asyncio.to_thread(fingerprint, listed[name])
                if run == self._run:
                    self._statuses.found(name, files)
            return
        for name in todo.unload:
            if run == self._run and name not in self._wanted:
                await self._unload(name, run)
        for name in (*todo.load, *todo.replace):
            await self._load_if_due(name, run)
        for name in wanted.keys() & self._loaded.keys():
            files = await asyncio.to_thread(fingerprint, wanted[name].path)
            if run == self._run and is_local(wanted[name].path):
                self._statuses.files(name, files)

    def _note_lost(self, todo: plan.Steps) -> None:
        for name in todo.load:
            if self._statuses.lost(name):
                change, then = "unloaded by another client", "it is loaded again"
                emit(self._log, LoraChangedElsewhere(adapter=name, change=change, consequence=then))

    def _note_unlisted(self, todo: plan.Steps) -> None:
        for name in todo.unlisted:
            if name not in self._reported:
                goes = name in todo.unload and self.dynamic
                changed = LoraChangedElsewhere(
                    adapter=name,
                    path=self._loaded[name],
                    change="loaded by another client",
                    consequence="it is unloaded: add it with 'vllmd lora add'" if goes else "none",
                )
                emit(self._log, changed)
        self._reported = frozenset(todo.unlisted)

    async def _load_if_due(self, name: str, run: int) -> None:
        want = self._wanted.get(name)
        if want is None or run != self._run:
            return
        files = await asyncio.to_thread(fingerprint, want.path)
        if run == self._run and self._statuses.due(name, self._clock.monotonic(), files):
            await self._load(name, want, files, run)

    # --- small things ------------------------------------------------------------------------

    def _refuse_static(self) -> None:
        if not self.dynamic:
            why = lora.dynamic_problem(self._engine) or "lora.dynamic is false"
            raise VllmdError(
                f"the adapters of {self._engine.name} cannot change while it serves: {why}; "
                "change lora.modules in the configuration, then 'vllmd reload --apply'"
            )

    def _wanted_one(self, name: str) -> DesiredAdapter:
        want = self._wanted.get(name)
        if want is None:
            known = ", ".join(self._wanted) or "none"
            raise VllmdError(f"{self._engine.name} is to have no adapter {name!r}; it has: {known}")
        return want

    async def _keep(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        try:
            await self._state_file.change_added(change)
        finally:
            self._want()
            self._wake.set()

    def to_json(self) -> dict[str, Any]:
        """Return all of it as `vllmd lora list --json` prints it."""
        return {
            "engine": self._engine.name,
            "dynamic": self.dynamic,
            "directory": self._lora.directory,
            "problem": self.problem,
            "adapters": [status.to_json() for status in self.statuses()],
        }


def _where(want: DesiredAdapter, settings: lora.LoraConfig) -> str:
    return (
        "in the configuration" if want.source is AdapterSource.FILE else f"in {settings.directory}"
    )
