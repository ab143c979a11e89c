from pathlib import Path

import pytest

from vllmd.shim import cgroup
from vllmd.shim.cgroup import oom_kills

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"


def made(folder: Path, cgroup: str, **files: str) -> int | None:
    (folder / "self").mkdir()
    (folder / "self" / "cgroup").write_text(cgroup)
    for path, text in files.items():
        target = folder / "mount" / path.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return oom_kills(str(folder), str(folder / "mount"))


def test_oom_kills_of_cgroup_v2(tmp_path: Path) -> None:
    assert made(tmp_path, "0::/system.slice/x\n", **{"system.slice__x__memory.events": EVENTS}) == 2


def test_oom_kills_of_cgroup_v1(tmp_path: Path) -> None:
    cgroup = "9:cpu,cpuacct:/a\n4:memory:/b\n0::/c\n"
    assert made(tmp_path, cgroup, **{"memory__b__memory.oom_control": CONTROL}) == 5


@pytest.mark.parametrize(
    ("cgroup", "path", "text", "count"),
    [
        ("0::/kubepods/pod1/c1\n", "memory.events", EVENTS, 2),
        ("0::/\n", "memory.events", EVENTS, 2),
        ("0::/../../init.scope\n", "memory.events", EVENTS, 2),
        ("3:cpu:/x\n0::/x\n", "unified__x__memory.events", EVENTS, 2),
        ("4:memory:/docker/c1\n0::/\n", "memory__memory.oom_control", CONTROL, 5),
    ],
)
def test_oom_kills_in_a_container_that_sees_only_its_own_group(
    tmp_path: Path, cgroup: str, path: str, text: str, count: int
) -> None:
    assert made(tmp_path, cgroup, **{path: text}) == count


@pytest.mark.parametrize(
    "cgroup", ["", "0::/nowhere\n", "garbage\n", "4:memory:/nowhere\n", "3:cpu:/\n"]
)
def test_oom_kills_that_cannot_be_read_are_none(tmp_path: Path, cgroup: str) -> None:
    assert made(tmp_path, cgroup) is None


def test_oom_kills_of_this_machine_is_a_count() -> None:
    count = oom_kills()
    assert count is None or count >= 0
    assert oom_kills("/nonexistent") is None


@pytest.mark.parametrize(
    ("before", "now", "killed"), [(2, 5, 3), (5, 2, 0), (None, 5, 0), (2, None, 0), (0, 0, 0)]
)
def test_killed_since_is_none_of_those_that_were_killed_before(
    before: int | None, now: int | None, killed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "oom_kills", lambda: now)
    assert cgroup.killed_since(before) == killed
