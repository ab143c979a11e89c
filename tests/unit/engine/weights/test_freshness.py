from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.helpers.kept_weights import KeptScene, short_folder
from vllmd.config.command import Command
from vllmd.engine.weights import freshness
from vllmd.engine.weights.contents import difference
from vllmd.engine.weights.freshness import PROGRAM, Freshness
from vllmd.engine.weights.loaded import Loaded
from vllmd.shim.protocol import RunRecord


@pytest.fixture
def scene() -> Iterator[KeptScene]:
    with short_folder() as folder:
        yield KeptScene(folder)


def run_of(command: Command) -> RunRecord:
    return {"run_id": "1a", "command_hash": command.hash}  # type: ignore[typeddict-item]


async def why_stale(scene: KeptScene, loaded: Loaded, other: str = "") -> str | None:
    command = scene.command.weights
    assert command is not None
    run = run_of(attrs.evolve(command, own_env={"X": other}) if other else command)
    now = await Freshness().contents(
        scene.engine, command, scene.settings.context, whole=loaded.whole
    )
    return freshness.why_stale(run, loaded, command) or difference(loaded.contents, now)


async def loaded(scene: KeptScene, *, whole: bool = False) -> Loaded:
    assert scene.command.weights is not None
    contents = await Freshness().contents(
        scene.engine, scene.command.weights, scene.settings.context, whole=whole
    )
    return Loaded("1a", contents, whole)


@pytest.mark.parametrize("whole", [False, True])
async def test_what_was_loaded_and_did_not_change_is_fresh(scene: KeptScene, whole: bool) -> None:
    assert await why_stale(scene, await loaded(scene, whole=whole)) is None


async def test_what_cannot_be_compared_is_stale(scene: KeptScene) -> None:
    before = await loaded(scene)
    command = scene.command.weights
    assert command is not None
    assert "not known" in str(freshness.why_stale(run_of(command), None, command))
    assert "not known" in str(await why_stale(scene, attrs.evolve(before, run_id="2b")))
    assert "the command" in str(await why_stale(scene, before, "other"))
    (scene.folder / "vllm").unlink()
    with pytest.raises(FileNotFoundError, match="vllm"):
        await why_stale(scene, before)


async def test_copy_of_the_same_bytes_is_fresh_as_a_whole_alone(scene: KeptScene) -> None:
    quick, full = await loaded(scene), await loaded(scene, whole=True)
    path = scene.model / "model.safetensors"
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)
    assert await why_stale(scene, quick) == f"{path} changed"
    assert await why_stale(scene, full) is None


async def test_model_of_the_hub_is_that_of_its_revision_and_its_draft_counts(
    tmp_path: Path,
) -> None:
    hub = tmp_path / "hub"
    for model, commit in (("models--org--m", "c1"), ("models--org--d", "c2")):
        snapshot = hub / model / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "model.safetensors").write_text(commit)
        (hub / model / "refs").mkdir()
        (hub / model / "refs" / "main").write_text(commit)
    (hub / "models--org--m" / "refs" / "main").write_text("c0")
    with short_folder() as folder:
        scene = KeptScene(folder, f'env = {{ HF_HUB_CACHE = "{hub}" }}')
        assert scene.command.weights is not None
        for flags, names in (
            ({}, set()),
            ({"revision": "c1"}, {"c1"}),
            ({"speculative-config": {"method": "eagle", "model": "org/d"}}, {"c2"}),
        ):
            engine = attrs.evolve(scene.engine, model="org/m", flags=flags)
            found = await Freshness().contents(
                engine, scene.command.weights, scene.settings.context, whole=False
            )
            assert {Path(path).parent.name for path in found if path != PROGRAM} == names
