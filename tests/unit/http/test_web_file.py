import os
import shutil
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock, LateClock
from tests.helpers.web import MUTUAL, TLS, USERS, write
from vllmd.config.problem import InvalidConfigError
from vllmd.http import web_file
from vllmd.http.web_file import WebFile, load


def test_load_reads_what_is_named_beside_the_file(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, MUTUAL))
    assert loaded.context is not None
    assert [path.name for path in loaded.files] == ["server.pem", "server.key", "authority.pem"]
    assert all(path.parent == tmp_path for path in loaded.files)


@pytest.mark.parametrize("text", ["", USERS])
def test_load_without_tls_has_no_context(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, text)).context is None


def test_load_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"gone.yml: error: cannot be read: No such"):
        load(tmp_path / "gone.yml")
    path = tmp_path / "web.yml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(InvalidConfigError, match="is not UTF-8 at byte 3; save it as UTF-8"):
        load(path)


def test_file_that_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, MUTUAL + USERS)
    file = WebFile(path, LateClock())
    first = file.current()
    monkeypatch.setattr("vllmd.http.web_file.load", lambda _: pytest.fail("read again"))
    assert file.current() is first
    assert file.context() is first.context if first else False


@pytest.mark.parametrize("name", ["web.yml", "server.pem", "server.key", "authority.pem"])
def test_file_that_changed_is_read_at_the_next_look(tmp_path: Path, name: str) -> None:
    file = WebFile(write(tmp_path, MUTUAL), LateClock())
    before = file.context()
    replaced = tmp_path / "new"
    shutil.copy(tmp_path / name, replaced)
    replaced.rename(tmp_path / name)
    with capture_logs() as logs:
        assert file.context() is not before
        again = file.context()
        assert file.context() is again
    assert [log["event"] for log in logs] == ["web_config.reloaded"]


def test_file_that_is_written_over_with_as_many_bytes_is_read(tmp_path: Path) -> None:
    file = WebFile(write(tmp_path, TLS), LateClock())
    before = file.context()
    for suffix in (".pem", ".key"):
        new, old = tmp_path / f"renewed{suffix}", tmp_path / f"server{suffix}"
        assert new.stat().st_size == old.stat().st_size
        shutil.copyfile(new, old)
    assert file.context() is not before
    assert file.problem is None


def test_file_that_breaks_keeps_the_old_one_and_is_said_once(tmp_path: Path) -> None:
    clock = LateClock()
    path = write(tmp_path, TLS + USERS)
    file = WebFile(path, clock)
    good = file.current()
    assert file.problem is None
    assert file.succeeded_at is not None
    good_at = file.succeeded_at
    path.write_text("basic_auth_users: {ann: doe}\nmore: 1\n")
    with capture_logs() as logs:
        for _ in range(3):
            assert file.current() is good
    assert [log["event"] for log in logs] == ["web_config.refused"]
    assert file.problem is not None
    assert file.problem.startswith(
        "the web configuration cannot be used, what was read before still holds: "
        f"{path}:1: error: basic_auth_users.ann: is not a bcrypt hash"
    )
    assert file.problem.endswith("(and 1 more)")
    assert file.succeeded_at == good_at
    path.write_text(USERS)
    loaded = file.current()
    assert loaded
    assert loaded.context is None
    assert file.problem is None
    assert file.succeeded_at > good_at


def test_file_that_is_gone_keeps_the_old_one(tmp_path: Path) -> None:
    path = write(tmp_path, USERS)
    file = WebFile(path, LateClock())
    good = file.current()
    path.unlink()
    assert file.current() is good
    assert file.problem is not None


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "authority.pem"])
def test_file_whose_certificate_breaks_goes_on_once_it_is_mended(
    tmp_path: Path, broken: str
) -> None:
    file = WebFile(write(tmp_path, MUTUAL), LateClock())
    good = file.context()
    kept = (tmp_path / broken).read_bytes()
    (tmp_path / broken).write_bytes(b"half")
    assert file.context() is good
    assert file.problem is not None
    (tmp_path / broken).write_bytes(kept)
    mended = file.context()
    assert mended is not None
    assert mended is not good
    assert file.problem is None


def test_file_that_never_could_be_used_has_nothing_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    file = WebFile(path, LateClock())
    with capture_logs() as logs:
        assert (file.current(), file.context()) == (None, None)
        assert (file.current(), file.context()) == (None, None)
    assert [log["event"] for log in logs] == ["web_config.refused"]
    assert file.problem is not None
    assert "all requests are refused" in file.problem
    write(tmp_path, TLS)
    assert file.context() is not None


def test_file_that_names_a_missing_certificate_goes_on_once_it_is_there(tmp_path: Path) -> None:
    path = write(tmp_path, TLS)
    (tmp_path / "server.key").rename(tmp_path / "away")
    file = WebFile(path, LateClock())
    assert file.current() is None
    (tmp_path / "away").rename(tmp_path / "server.key")
    assert file.current() is not None


def test_file_of_the_same_size_and_time_but_another_inode_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, TLS)
    file = WebFile(path, LateClock())
    before = file.context()
    found = path.stat()
    other = tmp_path / "other.yml"
    other.write_text(TLS)
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.rename(path)
    assert file.context() is not before


def test_file_is_not_looked_at_again_at_once(tmp_path: Path) -> None:
    clock = FakeClock()
    path = write(tmp_path, TLS)
    file = WebFile(path, clock)
    before = file.context()
    path.write_text(USERS)
    assert file.context() is before
    clock.now += web_file.LOOK_EVERY_S
    assert file.context() is None


def test_file_system_that_hangs_holds_nobody_up_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_file, "LOOK_S", 0.01)
    file = WebFile(write(tmp_path, TLS), LateClock())
    before = file.context()
    mended = threading.Event()
    real = web_file._mark
    monkeypatch.setattr(web_file, "_mark", lambda path: mended.wait(10) and real(path))
    with capture_logs() as logs:
        for _ in range(3):
            assert file.context() is before
    assert [log["event"] for log in logs][:1] == ["web_config.refused"]
    assert "s: does its file system hang?" in (file.problem or "")
    mended.set()
    for thread in threading.enumerate():
        if thread.name == "read":
            thread.join(10)
    assert file.context() is not None
    assert file.problem is None


def test_file_that_no_thread_can_read_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    file = WebFile(write(tmp_path, TLS), LateClock())
    before = file.context()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        assert file.context() is before
        assert "can't start new thread" in (file.problem or "")
    assert file.context() is not None
    assert file.problem is None


@pytest.mark.parametrize(("mode", "names"), [(0o640, []), (0o644, ["web.yml", "server.key"])])
def test_load_warns_of_secrets_that_everybody_may_read(
    tmp_path: Path, mode: int, names: list[str]
) -> None:
    path = write(tmp_path, TLS + USERS)
    for name in ("web.yml", "server.key"):
        (tmp_path / name).chmod(mode)
    said = [each.message for each in load(path).warnings]
    assert said == [
        f"{tmp_path / name} has secrets, and every user of this host may read it" for name in names
    ]
    path.write_text(TLS)
    assert len(load(path).warnings) == len(names[1:])
