"""Debian systems to boot: a root file system in namespaces, or in a machine that is emulated."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tests.helpers.nvml import FakeNvml, library
from tests.helpers.rootfs import archive, unpack
from tests.helpers.site import needs
from tests.helpers.wheels import wheel

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INCLUDE = (
    "systemd-sysv,dbus,udev,python3,procps,init-system-helpers,adduser,libnuma1,needrestart,curl"
)
KERNEL = ",linux-image-cloud-amd64,initramfs-tools,zstd"
UNIT = """[Unit]
After=multi-user.target
[Service]
Type=exec
WorkingDirectory=/opt/t
Environment=PATIENCE={patience} BRIEF={brief:d}
ExecStart=/usr/bin/python3 -m inside {scenario}
StandardOutput=journal+console
OOMScoreAdjust=-900
[Install]
WantedBy=multi-user.target
"""
LIMIT_S = 1500
IMAGE_SIZE = "1600M"
EMULATED_PATIENCE = 4
"""A machine of its own, and a program for another processor: both are translated."""


@attrs.frozen
class System:
    """A root file system with a scenario in it, and where what it leaves can be read."""

    root: Path
    console: Path

    @property
    def work(self) -> Path:
        """The folder of the test inside the system."""
        return self.root / "opt" / "t"


def debian(suite: str, *, kernel: bool, arch: str = "amd64", more: Sequence[str] = ()) -> Path:
    """Return a root file system; `more` are other packages to be in it."""
    needs("mmdebstrap")
    include = ",".join((INCLUDE + (KERNEL if kernel else ""), *more))
    kind = suite if arch == "amd64" else f"{suite}-{arch}"
    return archive(kind, include, suite, f"--architectures={arch}", f"--include={include}")


def make(
    folder: Path,
    suite: str,
    debs: Path,
    scenario: str,
    *,
    kernel: bool = False,
    brief: bool = False,
) -> System:
    """Unpack a system below `folder` that runs `scenario` when it is booted, then goes down.

    A `brief` one names the cases that show nothing of the kernel, and does not run them.
    """
    patience = EMULATED_PATIENCE if kernel else 1
    unit = UNIT.format(scenario=scenario, patience=patience, brief=brief)
    system = _unpack(folder, debian(suite, kernel=kernel), debs, unit)
    shutil.copytree(debs / "apt", system.work / "apt")
    shutil.copy(ROOT / "packaging" / "debian" / "tests" / "serves", system.work)
    _place_gpus(system.work / "nvml")
    wheel(system.work / "wheels", "0.32.0")
    for tool in ("uv", "py-spy"):
        shutil.copy(Path(sys.executable).with_name(tool), system.work)
    return system


def make_arm64(folder: Path, suite: str, debs: Path) -> System:
    """Unpack a system for arm64 below `folder`; the kernel has to hand its programs to qemu."""
    unit = UNIT.format(scenario="arm64", patience=EMULATED_PATIENCE, brief=False)
    return _unpack(folder, debian(suite, kernel=False, arch="arm64"), debs, unit)


def _unpack(folder: Path, source: Path, debs: Path, unit: str) -> System:
    """Unpack a root file system with packages and a unit that is started last when it boots."""
    root = folder / "root"
    root.mkdir()
    unpack(source, root)
    system = System(root, folder / "console.log")
    system.work.mkdir(parents=True)
    for deb in debs.glob("*.deb"):
        shutil.copy(deb, system.work)
    shutil.copytree(HERE / "inside", system.work / "inside")
    starts_last(root, unit)
    return system


def starts_last(root: Path, unit: str) -> None:
    """Have a root file system start a unit when it boots."""
    (root / "etc/systemd/system/inside.service").write_text(unit)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "inside.service").symlink_to("/etc/systemd/system/inside.service")


def _place_gpus(folder: Path) -> None:
    """Put the scripted NVML library where the system's daemon can be told to look for it."""
    folder.mkdir()
    shutil.copy(library() / "libnvidia-ml.so.1", folder)
    FakeNvml(folder)


def place(folder: Path, system: System, name: str) -> None:
    """Copy a folder of this host to /opt/vllmd/NAME, where everybody in the system can read it."""
    target = system.root / "opt/vllmd" / name
    shutil.copytree(folder, target)
    subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)


def boot(system: System, binds: Mapping[Path, str] | None = None) -> None:
    """Boot in namespaces of its own and wait for the end; its control groups are removed.

    `binds` maps folders of this host to where the system sees them, read-only.
    """
    name = f"vllmd-test-{os.getpid()}"
    pairs = [f"{source}:{target}" for source, target in (binds or {}).items()]
    try:
        _run(system, [str(HERE / "boot.sh"), str(system.root), name, *pairs])
    finally:
        for controller in Path("/sys/fs/cgroup").iterdir():
            for group in sorted((controller / name).glob("**/"), reverse=True):
                if group.is_dir():
                    subprocess.run(["rmdir", str(group)], check=False, capture_output=True)


def emulate(system: System) -> System:
    """Boot in an emulated machine, with the kernel of its own suite, and wait for the end.

    Returns: what the machine's disk held then.
    """
    needs("qemu-system-x86_64")
    folder = system.console.parent
    image = folder / "disk.img"
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(system.root), str(image), IMAGE_SIZE]
    subprocess.run(command, check=True)
    kernel, initrd = (next((system.root / "boot").glob(f"{n}*")) for n in ("vmlinuz", "initrd"))
    # /dev/kvm is no promise: where it was there, within a machine itself, nothing booted by it
    machine = "qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max -smp 2 -m 1536"
    try:
        _run(
            system,
            [
                *machine.split(),
                *("-nodefaults", "-display", "none", "-serial", "stdio"),
                *("-drive", f"file={image},if=virtio,format=raw"),
                *("-kernel", str(kernel), "-initrd", str(initrd)),
                *("-append", "console=ttyS0 root=/dev/vda rw panic=-1 systemd.show_status=0"),
            ],
        )
        left = System(folder / "left", system.console)
        for path in ("/opt/t", "/var/log/vllmd"):
            target = left.root / path.strip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            dump = f"rdump {path} {target.parent}"
            subprocess.run(["debugfs", "-R", dump, str(image)], check=True, capture_output=True)
    finally:
        image.unlink()
    return left


def _run(system: System, command: list[str]) -> None:
    with system.console.open("wb") as console:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        try:
            process.wait(LIMIT_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
