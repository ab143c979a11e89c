from pathlib import Path

from vllmd.util.control_groups import groups_of, words


def test_groups_around_a_process_are_those_of_the_controller_the_inner_first(
    tmp_path: Path,
) -> None:
    cgroup = tmp_path / "cgroup"
    cgroup.write_text("9:cpu,cpuacct:/x\n4:memory:/a/b\n0::/c\ngarbage\n")
    found = list(groups_of("memory", cgroup, tmp_path))
    top, v2 = tmp_path / "memory", tmp_path / "unified"
    assert found[:3] == [(1, top / "a/b"), (1, top / "a"), (1, top)]
    assert (2, tmp_path / "c") in found
    assert (2, v2 / "c") in found
    assert list(groups_of("memory", tmp_path / "gone", tmp_path)) == []


def test_words_of_a_file_that_is_not_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("100 max\n")
    assert words(tmp_path / "a") == ["100", "max"]
    assert words(tmp_path / "b") == []
