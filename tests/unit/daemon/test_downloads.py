"""The share of a model that is here, while its engine downloads it: against a hub on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.hub import FakeHub, serving
from tests.helpers.make import config, status
from vllmd.config.command import Command, build
from vllmd.config.model import Config
from vllmd.daemon.downloads import Downloads
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.pulling.share import Share

WEIGHTS = b"w" * 9000
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "pytorch_model.bin": b"x" * 5000}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """Return a hub with one model."""
    with serving(FakeHub(dict(FILES))) as made:
        yield made


class Host:
    """One engine, and the folder that its model comes to."""

    def __init__(self, hub: FakeHub, folder: Path, **more: str) -> None:
        env = {"HF_HOME": str(folder), "HF_ENDPOINT": hub.url, **more}
        table = ", ".join(f'{name} = "{value}"' for name, value in env.items())
        text = f'[engines.chat]\nmodel = "org/m"\nenv = {{ {table} }}\n'
        self.config: Config = config(text)
        self.command: Command = build(self.config.engines["chat"], {})
        self.statuses: list[EngineStatus] = []
        self.blobs = folder / "hub" / "models--org--m" / "blobs"
        self.blobs.mkdir(parents=True)
        self.downloads = Downloads(
            lambda: self.statuses, lambda: self.config, lambda: {"chat": self.command}, FakeClock()
        )

    async def share(self, state: State = State.LOADING, phase: str | None = "weights") -> object:
        self.statuses = [status(state=state, phase=phase, model="org/m", run_id="r1")]
        await self.downloads.look()
        return self.downloads.known().get("chat")


@pytest.mark.parametrize("ending", [".incomplete", ".1a2b3c4d.incomplete"])
async def test_share_is_by_the_hubs_sizes_and_what_is_here(
    ending: str, hub: FakeHub, tmp_path: Path
) -> None:
    host = Host(hub, tmp_path)
    part = host.blobs / (hub.blob("model.safetensors") + ending)
    part.write_bytes(WEIGHTS[:4500])
    assert await host.share() == Share(4500, 9002)
    asked = len(hub.tokens)
    part.write_bytes(WEIGHTS[:9000])
    (host.blobs / hub.blob("config.json")).write_bytes(b"{}")
    assert await host.share() == Share(9002, 9002)
    assert len(hub.tokens) == asked  # the sizes were asked for once
    assert await host.share(State.READY, None) is None


async def test_hub_is_not_asked_where_nothing_downloads(hub: FakeHub, tmp_path: Path) -> None:
    host = Host(hub, tmp_path)
    (host.blobs / hub.blob("model.safetensors")).write_bytes(WEIGHTS)
    assert await host.share() is None
    (host.blobs / "x.incomplete").write_bytes(b"")
    for state, phase in ((State.LOADING, "profile"), (State.READY, None), (State.HELD, None)):
        assert await host.share(state, phase) is None
    assert hub.tokens == []


async def test_hub_that_refuses_is_asked_once_in_a_run_with_the_engines_token(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.token = "another"
    host = Host(hub, tmp_path, HF_TOKEN="planted-token")
    (host.blobs / "x.incomplete").write_bytes(b"")
    for _ in range(3):
        assert await host.share() is None
    assert hub.tokens == ["Bearer planted-token"]


async def test_engine_that_is_configured_no_more_has_none(hub: FakeHub, tmp_path: Path) -> None:
    host = Host(hub, tmp_path)
    (host.blobs / "x.incomplete").write_bytes(b"")
    host.config = config("")
    assert await host.share() is None
