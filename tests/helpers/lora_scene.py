"""A reconciler of adapters with a clock of its own, and an engine that is a table in memory."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from tests.helpers.clock import FakeClock, quiet
from tests.helpers.make import engine, status
from vllmd.demo.adapter import write_adapter
from vllmd.engine.state_machine import State
from vllmd.lora.api import LoraApiError
from vllmd.lora.desired import AdapterStateFile
from vllmd.lora.inspector import Inspector
from vllmd.lora.reconciler import LoraReconciler


class FakeApi:
    """An engine's adapters, in memory."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}
        self.asked: list[tuple[str, ...]] = []
        self.error: LoraApiError | None = None
        self.hang = False

    async def listed(self) -> Mapping[str, str]:
        if self.error:
            raise self.error
        return dict(self.loaded)

    async def load(self, name: str, path: str, *, in_place: bool) -> None:
        self.asked.append(("replace" if in_place else "load", name, path))
        if self.hang:
            await asyncio.Event().wait()
        if "refused" in path:
            raise LoraApiError("LoRA weights do not fit")
        self.loaded[name] = path

    async def unload(self, name: str) -> None:
        self.asked.append(("unload", name))
        del self.loaded[name]


@attrs.define
class Scene:
    folder: Path
    text: str = ""
    api: FakeApi = attrs.field(factory=FakeApi)
    clock: FakeClock = attrs.field(factory=FakeClock)
    state: State = State.READY
    adopted: bool = False
    tasks: list[asyncio.Task[None]] = attrs.field(factory=list)
    reconciler: LoraReconciler = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.make()

    def make(self) -> None:
        """Make a reconciler, as a daemon does that was started again."""
        given = engine(self.text)
        api: Any = self.api
        self.reconciler = LoraReconciler(
            given,
            api,
            AdapterStateFile(self.folder / "chat.lora.json"),
            Inspector(given, {}),
            lambda: status(state=self.state, adopted=self.adopted),
            self.clock,
        )

    def run(self) -> None:
        self.tasks.append(asyncio.create_task(self.reconciler.run()))

    async def look(self, seconds: float = 10.0) -> None:
        """Let time pass, and the threads that look into files."""
        await self.clock.advance(seconds)
        await quiet()

    def adapter(self, name: str, **about: Any) -> str:
        return str(write_adapter(self.folder / name, **about))

    def conditions(self) -> dict[str, str]:
        return {each.name: str(each.condition) for each in self.reconciler.statuses()}
