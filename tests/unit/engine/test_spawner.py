import asyncio
from pathlib import Path

import pytest

from tests.helpers.make import spec
from vllmd.engine.shim_client import ShimClient
from vllmd.engine.spawner import DirectSpawner
from vllmd.errors import ShimError


async def test_spawn_returns_when_the_shim_listens(tmp_path: Path) -> None:
    spawner = DirectSpawner()
    await spawner.spawn(spec(tmp_path, ["/bin/sleep", "60"]))
    client = await ShimClient.connect(tmp_path)
    assert client is not None
    await client.stop(5)
    record = await asyncio.wait_for(client.exited, 20)
    assert record is not None
    assert record["requested"]


async def test_spawn_reports_the_shims_own_words(tmp_path: Path) -> None:
    with pytest.raises(ShimError, match=r"No such file or directory: /no/such/vllm"):
        await DirectSpawner().spawn(spec(tmp_path, ["/no/such/vllm"]))


async def test_spawn_directory_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(ShimError, match="cannot start a shim"):
        await DirectSpawner().spawn(spec(tmp_path / "none", ["/bin/true"]))


async def test_reap_collects_ended_shims(tmp_path: Path) -> None:
    spawner = DirectSpawner()
    await spawner.spawn(spec(tmp_path, ["/bin/true"]))
    for _ in range(200):
        spawner.reap()
        if not spawner._children:
            break
        await asyncio.sleep(0.02)
    assert spawner._children == []
