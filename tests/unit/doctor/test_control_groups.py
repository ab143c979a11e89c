"""Limits of control groups, read from trees as kernels and containers show them."""

import os
from pathlib import Path

import pytest

from vllmd.doctor.control_groups import CpuEstimate, MemoryEstimate, read_cpus, read_memory
from vllmd.util.units import GIB

HOST_GIB = 16
MAX_OF_V1 = "9223372036854771712"


def placed(folder: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path, Path]:
    (folder / "cgroup").write_text(cgroup)
    (folder / "meminfo").write_text(f"MemTotal: {HOST_GIB * GIB // 1024} kB\nMemFree: 1 kB\n")
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return folder / "cgroup", folder / "meminfo", folder / "fs"


@pytest.mark.parametrize(
    ("cgroup", "files", "gib"),
    [
        pytest.param(
            "0::/a.slice/b.service\n",
            {"a.slice/memory.max": str(2 * GIB), "a.slice/b.service/memory.max": "max"},
            2,
            id="nested: that of the slice, the inner has none",
        ),
        pytest.param(
            "0::/a/b/c\n",
            {"a/memory.max": str(4 * GIB), "a/b/memory.max": str(3 * GIB), "a/b/c/memory.max": "9"},
            9 / GIB,
            id="nested: the smallest of all",
        ),
        pytest.param("0::/\n", {"memory.max": str(GIB)}, 1, id="namespaced: its own is the top"),
        pytest.param(
            "0::/kubepods/pod1/c1\n",
            {"memory.max": str(GIB)},
            1,
            id="the host's path, and only its own group is mounted",
        ),
        pytest.param(
            "0::/../../init.scope\n",
            {"memory.max": str(GIB)},
            1,
            id="seen from another namespace",
        ),
        pytest.param("0::/a\n", {"a/memory.max": "max"}, None, id="max"),
        pytest.param("0::/a\n", {"a/cgroup.procs": "1"}, None, id="without the controller"),
        pytest.param("0::/gone\n", {}, None, id="a group that is gone"),
        pytest.param("0::/\n", {"cgroup.controllers": "cpu memory"}, None, id="the real top"),
        pytest.param("", {}, None, id="nothing"),
        pytest.param("garbage\n", {}, None, id="garbage"),
        pytest.param(
            "9:cpu:/x\n4:memory:/box\n", {"memory/box/memory.limit_in_bytes": str(GIB)}, 1, id="v1"
        ),
        pytest.param(
            "4:memory:/docker/c1\n0::/docker/c1\n",
            {"memory/memory.limit_in_bytes": str(GIB), "unified/docker/c1/cgroup.procs": "1"},
            1,
            id="v1 of a container, beside a v2 without controllers",
        ),
        pytest.param(
            "4:memory:/\n", {"memory/memory.limit_in_bytes": MAX_OF_V1}, None, id="v1 without"
        ),
        pytest.param(
            "4:cpu:/\n0::/a\n", {"unified/a/memory.max": str(GIB)}, 1, id="v2 below unified"
        ),
        pytest.param("0::/a\n", {"a/memory.max": str(99 * GIB)}, None, id="more than the host has"),
    ],
)
def test_smallest_memory_limit_around_a_process_counts(
    tmp_path: Path, cgroup: str, files: dict[str, str], gib: float | None
) -> None:
    found = read_memory(*placed(tmp_path, cgroup, files))
    expected = MemoryEstimate(HOST_GIB * GIB, False)
    assert found == (expected if gib is None else MemoryEstimate(int(gib * GIB), True))


def test_memory_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_memory(tmp_path / "no", tmp_path / "no", tmp_path) is None


@pytest.mark.parametrize(
    ("cgroup", "files", "cpus"),
    [
        pytest.param("0::/a\n", {"a/cpu.max": "150000 100000"}, 1.5, id="v2"),
        pytest.param("0::/a\n", {"a/cpu.max": "max 100000"}, None, id="v2, max"),
        pytest.param(
            "0::/a/b\n",
            {"a/cpu.max": "200000 100000", "a/b/cpu.max": "50000 100000"},
            0.5,
            id="v2, nested",
        ),
        pytest.param("0::/\n", {"cpu.max": "100000 100000"}, 1, id="v2, namespaced"),
        pytest.param("0::/a\n", {"a/memory.max": "max"}, None, id="v2 without the controller"),
        pytest.param("0::/a\n", {"a/cpu.max": "1"}, None, id="half a line"),
        pytest.param("0::/a\n", {"a/cpu.max": "1 0"}, None, id="no period"),
        pytest.param(
            "2:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "250000", "cpu/x/cpu.cfs_period_us": "100000"},
            2.5,
            id="v1, joined",
        ),
        pytest.param(
            "2:cpu:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"},
            None,
            id="v1 without",
        ),
        pytest.param("2:cpuset:/x\n", {"cpu/x/cpu.cfs_quota_us": "1"}, None, id="another one"),
    ],
)
def test_smallest_quota_of_processors_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cgroup: str,
    files: dict[str, str],
    cpus: float | None,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3} if pid == 7 else {0})
    path, _, root = placed(tmp_path, cgroup, files)
    found = read_cpus(7, path, root)
    assert found == (CpuEstimate(4, False) if cpus is None else CpuEstimate(cpus, True))


def test_processors_of_a_process_that_is_gone_are_not_known() -> None:
    assert read_cpus(2**22 + 1) is None


def test_limits_of_this_machine_are_read() -> None:
    memory, cpus = read_memory(), read_cpus()
    assert memory is not None
    assert memory.available > 0
    assert cpus is not None
    assert cpus.available > 0
