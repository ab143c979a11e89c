"""`vllmd pull` against a hub on loopback: whole, resumed, verified, refused."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.hub import COMMIT, FakeHub, serving
from vllmd.engine.model_files.base_model import find_folder
from vllmd.pulling import download, repository
from vllmd.pulling.pull import AT_ONCE, Progress, Pulled, pull
from vllmd.pulling.repository import PullError
from vllmd.util import threads

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


def test_lookup_whose_thread_still_ends_holds_up_no_file(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*given: Any, done: Any = threads.do) -> None:
        done(*given)
        time.sleep(0.2)

    monkeypatch.setattr(threads, "do", slowly)
    assert run(hub, tmp_path).files == AT_ONCE


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


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\\..\\b", "", ".", "a//b", "a\x1b]0;t\x07"],
)
def test_name_that_leads_elsewhere_is_refused(name: str, hub: FakeHub, tmp_path: Path) -> None:
    hub.files[name] = b"x"
    with pytest.raises(PullError, match="does not answer as a hub does"):
        run(hub, tmp_path)


def test_folder_where_a_file_is_to_be_is_said(hub: FakeHub, tmp_path: Path) -> None:
    path = run(hub, tmp_path).folder / "config.json"
    path.unlink()
    path.mkdir()
    with pytest.raises(PullError, match=r"config\.json is a folder, and a file on the hub: remove"):
        run(hub, tmp_path)


@pytest.mark.parametrize("size", [-1, float("inf"), float("nan"), True, "12", None, 1.5])
def test_size_that_is_none_is_refused(size: object, hub: FakeHub, tmp_path: Path) -> None:
    hub.listed = {"size": size}
    with pytest.raises(PullError, match="does not answer as a hub does"):
        run(hub, tmp_path)


@pytest.mark.parametrize("off", [-7, 7])
def test_hub_that_lies_about_a_size_is_said_before_the_file_comes(
    off: int, hub: FakeHub, tmp_path: Path
) -> None:
    hub.listed = {"size": len(WEIGHTS) + off}
    hub.files = {"model.safetensors": WEIGHTS}
    says = f"lists {len(WEIGHTS) + off} bytes, and has {len(WEIGHTS)} bytes of it"
    with pytest.raises(PullError, match=says):
        run(hub, tmp_path)
    assert len(hub.asked) == 1


def test_part_that_is_all_that_a_lying_hub_has_is_said(hub: FakeHub, tmp_path: Path) -> None:
    hub.listed = {"size": len(WEIGHTS) + 7}
    hub.files = {"model.safetensors": WEIGHTS}
    blobs = tmp_path / "models--org--m" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hub.blob('model.safetensors')}.incomplete").write_bytes(WEIGHTS)
    with pytest.raises(PullError, match=f"has no more than {len(WEIGHTS)} bytes of it"):
        run(hub, tmp_path)


def test_hub_that_says_without_end_is_cut_off(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "MOST_BYTES", 100_000)
    hub.padding = 200_000
    with pytest.raises(PullError, match=r"says more than 97\.7 KiB of one model"):
        run(hub, tmp_path)


@pytest.mark.parametrize(
    "revision", ["../../x", "/etc/x", "", "a b", "a..b", "a/", ".a", "a/.b", "a.lock", "a\n", "-a"]
)
def test_revision_that_is_none_asks_nobody_and_writes_nothing(
    revision: str, hub: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(PullError, match="is no name of a branch, a tag or a commit"):
        run(hub, tmp_path, revision=revision)
    assert not hub.tokens
    assert not list(tmp_path.iterdir())


def test_blob_that_was_cut_short_comes_anew_and_is_counted_once(
    hub: FakeHub, tmp_path: Path
) -> None:
    done = run(hub, tmp_path)
    blob = (done.folder / "model.safetensors").resolve()
    blob.write_bytes(WEIGHTS[:5000])
    seen: list[Progress] = []
    again = run(hub, tmp_path, report=seen.append)
    assert again.downloaded_bytes == len(WEIGHTS)
    assert max(each.done for each in seen) == again.bytes
    assert blob.read_bytes() == WEIGHTS


def test_file_that_is_damaged_is_found_by_verify_alone(hub: FakeHub, tmp_path: Path) -> None:
    done = run(hub, tmp_path)
    blob = (done.folder / "model.safetensors").resolve()
    blob.write_bytes(bytes(len(WEIGHTS)))  # as a power cut leaves it: its size, and zeros
    assert run(hub, tmp_path).downloaded_bytes == 0
    found = run(hub, tmp_path, verify=True)
    assert (found.replaced, found.downloaded_bytes) == (("model.safetensors",), len(WEIGHTS))
    assert blob.read_bytes() == WEIGHTS
    assert run(hub, tmp_path, verify=True).replaced == ()


def test_whole_file_is_on_the_disk_before_it_has_its_name(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))

    monkeypatch.setattr(os, "fsync", fsync)
    run(hub, tmp_path)
    assert f"{hub.blob('model.safetensors')}.incomplete" in {Path(each).name for each in synced}


def test_interrupt_does_not_wait_for_a_hub_that_sends_nothing(hub: FakeHub, tmp_path: Path) -> None:
    hub.break_after, hub.hold = 700, threading.Event()
    seen: list[Progress] = []

    def report(now: Progress) -> None:
        seen.append(now)
        if now.done >= 1400:  # both large files hang now
            os.kill(os.getpid(), signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            run(hub, tmp_path, report=report, pause=None)
    finally:
        hub.hold.set()
    parts = list((tmp_path / "models--org--m" / "blobs").glob("*.incomplete"))
    assert sorted(each.stat().st_size for each in parts) == [700, 700], "they are kept"


def test_interrupt_does_not_wait_for_a_connection_that_is_not_made(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, once = threading.Event(), threading.Lock()

    def connect(*_: object) -> None:
        if once.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)
        late.wait(20)
        raise httpx.ConnectTimeout("timed out")

    monkeypatch.setattr(repository.Hub, "stream", connect)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(hub, tmp_path, pause=None)
        assert time.monotonic() - began < 10
    finally:
        late.set()


def test_name_is_looked_up_where_an_interrupt_need_not_wait_for_it(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[threading.Thread] = []
    look_up = socket.getaddrinfo

    def getaddrinfo(*words: Any, **more: Any) -> Any:
        seen.append(threading.current_thread())
        return look_up(*words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    run(hub, tmp_path)
    assert seen
    assert all(each.daemon for each in seen), "and the program's end does not wait for it"


def test_weights_of_other_frameworks_alone_are_refused_before_anything_comes(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.files = {"config.json": b"{}", "onnx/model.onnx": b"x", "tf_model.h5": b"y"}
    with pytest.raises(
        PullError,
        match=r"has no weights that vLLM reads \(\.safetensors, .*only \.onnx, \.h5; look",
    ):
        run(hub, tmp_path)
    assert hub.asked == []
    hub.files["pytorch_model.bin"] = b"z"
    assert run(hub, tmp_path).weights == 1


def test_tokenizer_alone_comes_and_has_no_weights(hub: FakeHub, tmp_path: Path) -> None:
    assert run(hub, tmp_path).weights == 1
    hub.files = {"tokenizer.json": b"{}"}
    done = run(hub, tmp_path)
    assert (done.files, done.weights) == (1, 0)


def test_blob_that_is_no_hash_is_refused(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"rfilename": "a", "size": 1, "blobId": "../../x"}
    monkeypatch.setattr(FakeHub, "siblings", lambda _: [entry])
    with pytest.raises(PullError, match="does not answer as a hub does"):
        run(hub, tmp_path)
