"""One engine with `preload = true` whose shims, sockets and clock a test holds."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs

from tests.helpers.make import engine
from tests.helpers.scene import Scene, running
from tests.helpers.shims import FakeShim
from vllmd.config import command
from vllmd.engine.weights.keeper import WeightKeeper
from vllmd.engine.weights.state import WeightsState


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder whose path leaves room for the sockets' names."""
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as name:
        yield Path(name)


class KeptScene(Scene):
    """The engine `chat`, its model in `model`, its weights on two GPUs."""

    def __init__(self, folder: Path, text: str = "") -> None:
        self.model = folder / "model"
        if not self.model.exists():
            self.model.mkdir()
            (self.model / "model.safetensors").write_bytes(b"1" * 100)
            (folder / "vllm").write_text("#!/bin/sh\n")
            (folder / "vllm").chmod(0o755)
        self.folder = folder
        flags = "flags = { tensor-parallel-size = 2 }"
        self.text = f'preload = true\nexecutable = "{folder}/vllm"\n{flags}\n{text}'
        super().__init__(folder, self.text, model=str(self.model))
        self._sockets: list[socket.socket] = []

    @property
    def keeper(self) -> WeightKeeper:
        return self.supervisor.weights

    @property
    def weights_state(self) -> WeightsState | None:
        status = self.keeper.status
        return status.state if status else None

    @property
    def weight_shims(self) -> list[FakeShim]:
        return [each for each in self.spawner.shims if each.spec["argv"][1] == "preload"]

    @property
    def engine_shims(self) -> list[FakeShim]:
        return [each for each in self.spawner.shims if each.spec["argv"][1] == "serve"]

    def bind(self, rank: int) -> None:
        """Hand out the weights of a rank."""
        path = self.weight_shims[-1].directory / f"vllm_weight_cache_{rank}.sock"
        path.unlink(missing_ok=True)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(str(path))
        made.listen()
        self._sockets.append(made)

    def goes_on_from(self, before: "KeptScene") -> None:
        """Be the next daemon: what handed out weights before it goes on."""
        self._sockets = before._sockets

    def unbind(self) -> None:
        """Hand out none any more, as who was killed: the files stay."""
        while self._sockets:
            self._sockets.pop().close()

    async def loads(self, number: int = 1) -> None:
        """Wait until the weights are being loaded for the `number`th time."""
        await self.passes_until(lambda: len(self.weight_shims) == number, 0.5)

    async def complete(self, number: int = 1) -> None:
        """Let a load of the weights come to its end, and the engine start."""
        await self.loads(number)
        for rank in range(2):
            self.bind(rank)
        engines = len(self.engine_shims)
        await self.passes_until(lambda: len(self.engine_shims) > engines, 0.5)


@contextlib.asynccontextmanager
async def kept(folder: Path, text: str = "") -> AsyncIterator[KeptScene]:
    """Run its supervisor, and what follows its weights."""
    scene = KeptScene(folder, text)
    async with running(scene):
        following = asyncio.create_task(scene.keeper.follow())
        try:
            yield scene
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            scene.unbind()


def other_settings(scene: KeptScene, text: str) -> None:
    """Give the engine further keys, as a reload does."""
    given = engine(f"{scene.text}\n{text}", str(scene.model))
    built = command.build(given, run=scene.folder)
    scene.supervisor.configure(attrs.evolve(scene.settings, engine=given, command=built))


def problem(scene: KeptScene) -> str:
    status = scene.keeper.status
    assert status is not None
    return status.problem or ""
