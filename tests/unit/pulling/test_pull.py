"""`vllmd pull` against a hub on loopback: whole, resumed, verified, refused."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.hub import COMMIT, FakeHub, serving
from vllmd.engine.model_files.base_model import find_folder
from vllmd.pulling import download
from vllmd.pulling.pull import Progress, Pulled, pull
from vllmd.pulling.repository import PullError

WEIGHTS = bytes(range(256)) * 400
FILES = {
    "config.json": b'{"architectures": ["X"]}',
    "model.safetensors": WEIGHTS,
    "tokenizer/vocab.json": b"v" * 1200,
    "pytorch_model.bin": b"the same again" * 1000,
    "README.md": b"",
}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """Return a hub with one model."""
    with serving(FakeHub(dict(FILES))) as made:
        yield made


def run(hub: FakeHub, cache: Path, **more: Any) -> Pulled:
    options = {"pause": lambda _: None, **more}
    model, revision = options.pop("model", "org/m"), options.pop("revision", "main")
    return pull(model, revision, {"HF_ENDPOINT": hub.url}, cache, **options)


def test_pull_lays_files_out_as_the_hubs_own_client_does(hub: FakeHub, tmp_path: Path) -> None:
    seen: list[Progress] = []
    done = run(hub, tmp_path, report=seen.append)
    folder = tmp_path / "models--org--m"
    assert done.folder == folder / "snapshots" / COMMIT
    assert find_folder("org/m", {"HF_HUB_CACHE": str(tmp_path)}) == done.folder
    assert {str(p.relative_to(done.folder)) for p in done.folder.rglob("*") if p.is_file()} == (
        FILES.keys() - {"pytorch_model.bin"}
    )
    weights = done.folder / "model.safetensors"
    assert os.readlink(weights) == f"../../blobs/{hub.blob('model.safetensors')}"
    assert weights.read_bytes() == WEIGHTS
    assert (done.folder / "tokenizer" / "vocab.json").read_bytes() == FILES["tokenizer/vocab.json"]
    total = len(WEIGHTS) + 1200 + len(FILES["config.json"])
    assert (done.bytes, done.downloaded_bytes, done.files) == (total, total, 4)
    assert (seen[0], seen[-1]) == (Progress(0, total), Progress(total, total))
    assert not list(tmp_path.rglob("*.incomplete"))


def test_model_that_was_renamed_is_where_it_is_looked_for(hub: FakeHub, tmp_path: Path) -> None:
    hub.name = "new-org/m-1"
    done = run(hub, tmp_path)
    assert done.folder == tmp_path / "models--org--m" / "snapshots" / COMMIT
    assert find_folder("org/m", {"HF_HUB_CACHE": str(tmp_path)}) == done.folder


def test_pull_again_asks_for_no_file(hub: FakeHub, tmp_path: Path) -> None:
    run(hub, tmp_path)
    hub.asked.clear()
    done = run(hub, tmp_path)
    assert (done.downloaded_bytes, hub.asked) == (0, [])


def test_part_that_is_here_is_not_asked_for_again(hub: FakeHub, tmp_path: Path) -> None:
    blobs = tmp_path / "models--org--m" / "blobs"
    blobs.mkdir(parents=True)
    part = blobs / f"{hub.blob('model.safetensors')}.incomplete"
    part.write_bytes(WEIGHTS[:5000])
    seen: list[Progress] = []
    done = run(hub, tmp_path, report=seen.append)
    assert seen[0].done == 5000
    assert ("model.safetensors", "bytes=5000-") in hub.asked
    assert done.downloaded_bytes == done.bytes - 5000
    assert (done.folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("part", [b"x" * 5000, WEIGHTS + b"more"])
def test_part_of_something_else_comes_anew(part: bytes, hub: FakeHub, tmp_path: Path) -> None:
    blobs = tmp_path / "models--org--m" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hub.blob('model.safetensors')}.incomplete").write_bytes(part)
    assert (run(hub, tmp_path).folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("ranges", [True, False])
def test_connection_that_breaks_is_taken_up_again(
    ranges: bool, hub: FakeHub, tmp_path: Path
) -> None:
    hub.break_after, hub.ranges = 700, ranges
    pauses: list[float] = []
    seen: list[Progress] = []
    done = run(hub, tmp_path, pause=pauses.append, report=seen.append)
    assert (done.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert ("model.safetensors", "bytes=700-") in hub.asked
    assert pauses == [1.0, 1.0]  # each of the two large files broke once
    assert seen[-1].done == done.bytes


def test_hub_that_is_busy_is_asked_again_and_not_for_ever(hub: FakeHub, tmp_path: Path) -> None:
    hub.busy = 2
    run(hub, tmp_path)
    hub.busy = 10_000
    shutil.rmtree(tmp_path / "models--org--m")
    with pytest.raises(PullError, match="the hub answers 503; what came is kept, pull again"):
        run(hub, tmp_path)


def test_what_is_changed_on_the_way_is_removed(hub: FakeHub, tmp_path: Path) -> None:
    hub.changed = True
    with pytest.raises(PullError, match=r"is not what the hub says.*it was removed"):
        run(hub, tmp_path)
    assert not list((tmp_path / "models--org--m").rglob("model.safetensors"))
    assert find_folder("org/m", {"HF_HUB_CACHE": str(tmp_path)}) is None
    hub.changed = False
    run(hub, tmp_path)


def test_token_is_given_and_what_it_is_needed_for_is_said(hub: FakeHub, tmp_path: Path) -> None:
    hub.token = "planted-token"
    with pytest.raises(PullError, match=r"does not give org/m out \(no token was given\)"):
        run(hub, tmp_path)
    with pytest.raises(PullError, match="the token that was given is not taken"):
        run(hub, tmp_path, token="other")
    hub.gated = True
    with pytest.raises(PullError, match="org/m is gated: its terms have to be accepted at http"):
        run(hub, tmp_path)
    run(hub, tmp_path, token="planted-token")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": "org/none"}, r"there is no org/none on http"),
        ({"revision": "v9"}, "org/m has no revision 'v9'"),
    ],
)
def test_what_is_not_there_is_said(
    more: dict[str, str], says: str, hub: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(PullError, match=says):
        run(hub, tmp_path, **more)
    assert not list(tmp_path.iterdir())


def test_hub_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    away = FakeHub({}, url="http://127.0.0.1:1")
    with pytest.raises(PullError, match=r"127\.0\.0\.1:1 cannot be reached: .*HTTPS_PROXY"):
        run(away, tmp_path)
    with pytest.raises(PullError, match=r"is no address|cannot be reached"):
        run(FakeHub({}, url="nonsense://"), tmp_path)


def test_room_is_looked_at_before_anything_comes(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=50_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(PullError, match=r"are to come, and .* has 48\.8 KiB free"):
        run(hub, tmp_path)
    assert hub.asked == []


def test_disk_that_fills_up_keeps_what_came(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_receive", full)
    with pytest.raises(PullError, match=r"is full: .* which are kept; make room, then pull again"):
        run(hub, tmp_path)


def test_file_that_somebody_else_downloads_is_left_to_them(hub: FakeHub, tmp_path: Path) -> None:
    locks = tmp_path / ".locks" / "models--org--m"
    locks.mkdir(parents=True)
    with (locks / f"{hub.blob('model.safetensors')}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PullError, match=r"somebody else downloads model\.safetensors now"):
            run(hub, tmp_path)
    run(hub, tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\\..\\b"])
def test_name_that_leads_elsewhere_is_refused(name: str, hub: FakeHub, tmp_path: Path) -> None:
    hub.files[name] = b"x"
    with pytest.raises(PullError, match="does not answer as a hub does"):
        run(hub, tmp_path)


def test_blob_that_is_no_hash_is_refused(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"rfilename": "a", "size": 1, "blobId": "../../x"}
    monkeypatch.setattr(FakeHub, "siblings", lambda _: [entry])
    with pytest.raises(PullError, match="does not answer as a hub does"):
        run(hub, tmp_path)
