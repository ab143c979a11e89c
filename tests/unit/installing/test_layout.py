import os
from pathlib import Path

import pytest

from tests.helpers.wheels import fake_engine
from vllmd.errors import VllmdError
from vllmd.installing import layout
from vllmd.installing.layout import MARKER, InstalledEngines, InstallRecord, running_from


def record(name: str, **more: object) -> InstallRecord:
    values = {"version": name, "torch": "2.13", "cuda": "13.0", "python": "3.12.1"}
    return InstallRecord(name=name, program="/x", installed_at=1.0, **{**values, **more})  # type: ignore[arg-type]


@pytest.fixture
def engines(tmp_path: Path) -> InstalledEngines:
    for name in ("0.9.0", "0.32.0", "0.32.0+cpu", "0.31.1"):
        fake_engine(tmp_path / name)
    (tmp_path / "notes").mkdir()
    return InstalledEngines(tmp_path)


def test_names_are_in_the_order_of_versions(engines: InstalledEngines) -> None:
    assert engines.names() == ["0.9.0", "0.31.1", "0.32.0", "0.32.0+cpu"]
    assert InstalledEngines(engines.prefix / "nothing").names() == []


def test_record_comes_back_and_what_is_not_one_is_none(engines: InstalledEngines) -> None:
    made = record("0.32.0")
    engines.write(made)
    assert engines.record("0.32.0") == made
    assert made.build == "CUDA 13.0"
    assert record("0.32.0+cpu", cuda=None).build == "CPU"
    assert engines.record("0.9.0") is None
    engines.beside("0.9.0", ".json").write_text('{"name": "0.9.0"}')
    assert engines.record("0.9.0") is None


def test_use_and_rollback_swap_two_names(engines: InstalledEngines) -> None:
    engines.use("0.31.1")
    assert (engines.current, engines.previous) == ("0.31.1", None)
    with pytest.raises(VllmdError, match="nothing was current"):
        engines.rollback()
    engines.use("0.32.0")
    engines.use("0.32.0")
    assert (engines.current, engines.previous) == ("0.32.0", "0.31.1")
    assert engines.rollback() == ("0.32.0", "0.31.1")
    assert (engines.current, engines.previous) == ("0.31.1", "0.32.0")


def test_power_lost_between_the_two_links_leaves_what_serves(
    engines: InstalledEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines.use("0.31.1")
    real = InstalledEngines._link

    def link(self: InstalledEngines, name: str, target: str) -> None:
        real(self, name, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(InstalledEngines, "_link", link)
    with pytest.raises(KeyboardInterrupt):
        engines.use("0.32.0")
    assert engines.current == "0.31.1"


def test_incomplete_engine_is_not_used(engines: InstalledEngines) -> None:
    (engines.folder("0.9.0") / MARKER).touch()
    with pytest.raises(VllmdError, match="is not complete"):
        engines.use("0.9.0")


def test_known_takes_a_version_alone_where_one_is_meant(engines: InstalledEngines) -> None:
    assert engines.known("0.31.1") == "0.31.1"
    fake_engine(engines.folder("0.33.0+cpu"))
    assert engines.known("0.33.0") == "0.33.0+cpu"
    with pytest.raises(VllmdError, match=r"no engine '0\.1'.*there is: 0\.9\.0, 0\.31\.1"):
        engines.known("0.1")


def test_remove_spares_the_current_one_and_what_runs(
    engines: InstalledEngines, tmp_path: Path
) -> None:
    engines.use("0.31.1")
    engines.use("0.32.0")
    engines.write(record("0.31.1"))
    with pytest.raises(VllmdError, match="is the current engine"):
        engines.remove("0.32.0")
    engines.remove("0.31.1")
    assert engines.previous is None
    assert not (engines.prefix / "previous").is_symlink()
    assert engines.record("0.31.1") is None
    here = Path(os.__file__).parent.parent.parent
    assert os.getpid() in running_from(here)
    assert os.getpid() not in running_from(tmp_path / "0.9.0")


def test_adopted_engine_is_unlinked_and_its_folder_stays(
    engines: InstalledEngines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "elsewhere"
    fake_engine(theirs)
    engines.folder("1.0").symlink_to(theirs)
    monkeypatch.setattr(layout, "running_from", lambda _: [7])
    engines.remove("1.0")
    with pytest.raises(VllmdError, match=r"is in use \(pid 7\)"):
        engines.remove("0.9.0")
    assert (theirs / "bin" / "vllm").exists()
    assert "1.0" not in engines.names()


def test_half_removed_engine_is_removed_by_the_next(engines: InstalledEngines) -> None:
    half = engines.prefix / ".removed-0.8.0"
    half.mkdir()
    with engines.locked():
        assert not half.exists()


def test_two_do_not_work_at_once(engines: InstalledEngines) -> None:
    refused = pytest.raises(VllmdError, match="another 'vllmd engine' works")
    with engines.locked(), refused, engines.locked():
        pass
    with engines.locked():
        pass


def test_what_is_made_all_may_read_whatever_the_umask(tmp_path: Path) -> None:
    made = InstalledEngines(tmp_path / "opt" / "vllmd" / "engine")
    strict = os.umask(0o077)
    try:
        with made.locked():
            made.write(record("0.32.0"))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(strict)
    for path in (made.prefix.parent, made.prefix, made.beside("0.32.0", ".json")):
        assert path.stat().st_mode & 0o004, path


def test_folder_that_is_not_ours_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with (
        pytest.raises(VllmdError, match="cannot write below"),
        InstalledEngines(blocked / "x").locked(),
    ):
        pass
    with pytest.raises(VllmdError, match="cannot read"):
        InstalledEngines(blocked).names()
