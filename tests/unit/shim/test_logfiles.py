from pathlib import Path

from vllmd.shim import logfiles


def make(folder: Path, *names: str, size: int = 10) -> str:
    for name in names:
        (folder / f"a.log{name}").write_bytes(b"x" * size)
    return str(folder / "a.log")


def test_listed_is_by_number_and_knows_what_is_ours(tmp_path: Path) -> None:
    log = make(tmp_path, "", ".000002.gz", ".000010", ".000010.gz", ".1", ".old", ".000002.times")
    (tmp_path / "a.log2.000009").touch()
    assert {n: [Path(p).name for p in files] for n, files in logfiles.listed(log).items()} == {
        2: ["a.log.000002.gz"],
        10: ["a.log.000010", "a.log.000010.gz"],
    }


def test_current_number_is_above_every_rotated_one_and_outlives_them(tmp_path: Path) -> None:
    log = make(tmp_path)
    assert logfiles.current_number(log) == 1
    make(tmp_path, ".000004")
    assert logfiles.current_number(log) == 5
    make(tmp_path, ".000007.times")
    assert logfiles.current_number(log) == 7


def test_prune_removes_the_oldest_by_count_and_by_budget(tmp_path: Path) -> None:
    log = make(tmp_path, "", ".000001.gz", ".000001.times", ".000002", ".000003", ".000005.times")
    removed = logfiles.prune(log, 5, keep=2, budget_bytes=1000)
    assert [Path(p).name for p in removed] == ["a.log.000001.gz", "a.log.000001.times"]
    assert logfiles.prune(log, 5, keep=9, budget_bytes=25) == [logfiles.rotated(log, 2)]
    assert logfiles.used_bytes(log) == 30
    assert (tmp_path / "a.log.000005.times").exists()
    logfiles.prune(log, 6, keep=9, budget_bytes=1000)
    assert not (tmp_path / "a.log.000005.times").exists()


def test_of_a_folder_that_is_gone_there_is_nothing(tmp_path: Path) -> None:
    log = str(tmp_path / "none" / "a.log")
    assert logfiles.listed(log) == {}
    assert logfiles.used_bytes(log) == 0
