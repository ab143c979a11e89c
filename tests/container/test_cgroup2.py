"""The image on a kernel with cgroup v2 alone: limits are read, and a kill at one is told."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.container.image import Image
from tests.helpers.site import needs
from vllmd.demo.real import cache_dir
from vllmd.util.units import MIB

HERE = Path(__file__).parent
LIMIT_S = 1800
MARK = "RESULT "
INIT = "#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin\nexec python3 /init.py\n"
MACHINE = "qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max -smp 2 -m 2048"
PACKAGE = "linux-image-cloud-amd64"


def kernel() -> Path:
    """Return Debian's kernel for machines of clouds; it is cached outside the checkout."""
    folder = cache_dir() / "kernel"
    found = sorted(folder.glob("boot/vmlinuz-*"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        depends = ["apt-cache", "depends", PACKAGE]
        said = subprocess.run(depends, capture_output=True, text=True, check=True).stdout
        names = [line.split()[1] for line in said.splitlines() if "Depends:" in line]
        assert len(names) == 1, f"apt knows no {PACKAGE}, which Debian has: apt-get update; {said}"
        (name,) = names
        subprocess.run(["apt-get", "download", "-q", name], cwd=folder, check=True)
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
        found = sorted(folder.glob("boot/vmlinuz-*"))
    return found[-1]


def booted(image: Image, folder: Path) -> dict[str, Any]:
    """Boot the image's root file system as an initial one; return what its first program found."""
    root, archive = folder / "root", folder / "initrd"
    kernels = shutil.ignore_patterns("dev", "proc", "sys")  # /dev/full has no end to copy
    shutil.copytree(
        image.root, root, symlinks=True,
        ignore=lambda at, names: kernels(at, names) if Path(at) == image.root else set(),
    )  # fmt: skip
    for name in ("dev", "proc", "sys"):
        (root / name).mkdir()
    shutil.copy(HERE / "cgroup2_init.py", root / "init.py")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    pack = f"find . -print0 | cpio -o0 -H newc --quiet | gzip -1 > {archive}"
    subprocess.run(["sh", "-c", pack], cwd=root, check=True)
    command = [*MACHINE.split(), "-nodefaults", "-display", "none", "-no-reboot"]
    command += ["-serial", "stdio", "-kernel", str(kernel()), "-initrd", str(archive)]
    command += ["-append", "console=ttyS0 panic=-1 quiet cgroup_no_v1=all"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    assert lines, done.stdout[-3000:]
    found: dict[str, Any] = json.loads(lines[0].removeprefix(MARK))
    assert "error" not in found, found["error"]
    return found


@pytest.mark.machine
def test_limits_of_cgroup_v2_are_read_and_a_kill_at_one_is_told(
    image: Image, tmp_path: Path
) -> None:
    for program in ("qemu-system-x86_64", "cpio", "apt-get"):
        needs(program)
    found = booted(image, tmp_path)
    assert found["before"][:3] == ["0::/free", 2, False]
    assert found["before"][4] is False
    assert found["nested"] == ["0::/pods/box", 2, False, 400 * MIB, True, 0]
    assert found["limited"] == ["0::/pods/box", 1.5, True, 300 * MIB, True, 0]
    assert found["events"]["oom_kill"] >= 1, found  # it is started again meanwhile
    assert found["exit"]["diagnosis"]["cause"] == "host_out_of_memory", found["exit"]
    assert any("in its control group" in each for each in found["exit"]["diagnosis"]["evidence"])
    assert found["findings"]["host-memory"].startswith("a control group allows 300.0 MiB")
    assert found["findings"]["host-cpus"].startswith("a control group allows 1.5 processors")
    assert found["code"] == 0
