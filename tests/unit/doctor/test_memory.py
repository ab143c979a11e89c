from pathlib import Path

from vllmd.doctor.memory import MemoryEstimate, read
from vllmd.util.units import GIB


def files(folder: Path, cgroup: str, **limits: str) -> tuple[Path, Path, Path]:
    (folder / "cgroup").write_text(cgroup)
    (folder / "meminfo").write_text(f"MemTotal: {16 * GIB // 1024} kB\nMemFree: 1 kB\n")
    for name, value in limits.items():
        path = folder / "fs" / name.replace("__", "/").replace("_max", ".max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    return folder / "cgroup", folder / "meminfo", folder / "fs"


def test_smallest_limit_above_a_process_counts(tmp_path: Path) -> None:
    found = files(
        tmp_path,
        "0::/a.slice/b.service\n",
        **{"a.slice__memory_max": str(2 * GIB), "a.slice__b.service__memory_max": "max"},
    )
    assert read(*found) == MemoryEstimate(2 * GIB, True)


def test_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    cgroup, meminfo, root = files(tmp_path, "9:cpu:/x\n4:memory:/box\n")
    (root / "memory" / "box").mkdir(parents=True)
    (root / "memory" / "box" / "memory.limit_in_bytes").write_text(str(GIB))
    assert read(cgroup, meminfo, root) == MemoryEstimate(GIB, True)


def test_without_a_limit_the_host_counts(tmp_path: Path) -> None:
    cgroup, meminfo, root = files(tmp_path, "0::/\n")
    assert read(cgroup, meminfo, root) == MemoryEstimate(16 * GIB, False)
    (root / "memory").mkdir(parents=True)
    (root / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712")
    cgroup.write_text("4:memory:/\n")
    assert read(cgroup, meminfo, root) == MemoryEstimate(16 * GIB, False)
    assert read(tmp_path / "no", tmp_path / "no", root) is None
