from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.kept_weights import KeptScene, short_folder
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.weights.load_watch import LOOK_S, LoadWatch

STILL = ProcessActivity(1.0, 2.0, 3)


@pytest.fixture
def scene() -> Iterator[KeptScene]:
    with short_folder() as folder:
        yield KeptScene(folder)


async def looked(scene: KeptScene, watch: LoadWatch, seconds: float, log: Path | None) -> bool:
    """Tell whether it is found stalled within the time; with a `log`, something is printed."""
    for _ in range(int(seconds / LOOK_S)):
        scene.clock.now += LOOK_S
        if log is not None:
            log.write_text(log.read_text() + "a line\n" if log.exists() else "a line\n")
        if await watch.look() is not None:
            return True
    return False


async def test_load_that_does_nothing_is_stalled_after_the_limit(scene: KeptScene) -> None:
    watch = LoadWatch(scene.settings.context, 30, lambda: STILL)
    assert await watch.look() is None
    assert not await looked(scene, watch, 25, None)
    assert await looked(scene, watch, 15, None)


async def test_load_that_prints_or_is_not_seen_is_not(scene: KeptScene) -> None:
    log = scene.settings.context.weights_log
    printing = LoadWatch(scene.settings.context, 30, lambda: STILL)
    assert not await looked(scene, printing, 200, log)
    unseen = LoadWatch(scene.settings.context, 30, lambda: None)
    assert not await looked(scene, unseen, 200, None)
