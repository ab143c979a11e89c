"""packaging/gpu-setup, on made-up hosts: what is run, and what it says."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging" / "gpu-setup"
DEVICES = (
    "Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n236 nvidia-uvm\n\nBlock devices:\n"
)
PARAMS = "DeviceFileUID: 0\nDeviceFileGID: 44\nDeviceFileMode: 432\nModifyDeviceFiles: 1\n"
DRIVER = {
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  "
    "580.159.04  Release Build\nGCC version:  gcc version 15.3.0\n",
    "proc/driver/nvidia/params": PARAMS,
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t X\nDevice Minor: \t 0\n",
    "proc/driver/nvidia/gpus/0000:02:00.0/information": "Model: \t X\nDevice Minor: \t 1\n",
    "proc/devices": DEVICES,
}
CARD = {
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x030200\n",
}


def run(
    folder: Path, files: Mapping[str, str], *, modprobe: str = ""
) -> tuple[int, str, list[str]]:
    """Run it on a host of these files; return its code, what it said, and the commands."""
    host, tools = folder / "host", folder / "bin"
    for path, text in {"proc/devices": "Character devices:\n", **files}.items():
        (host / path).parent.mkdir(parents=True, exist_ok=True)
        (host / path).write_text(text)
    (host / "dev").mkdir(parents=True, exist_ok=True)
    tools.mkdir(exist_ok=True)
    for name in ("modprobe", "mknod", "chown", "chmod"):
        body = modprobe if name == "modprobe" else ""
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/ran\n{body}\n')
        (tools / name).chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "ROOT": str(host)}
    done = subprocess.run([SCRIPT], env=env, capture_output=True, text=True, check=False)
    ran = (folder / "ran").read_text() if (folder / "ran").exists() else ""
    commands = ran.replace(str(host), "").splitlines()
    return done.returncode, (done.stdout + done.stderr).strip(), commands


def test_a_host_without_a_gpu_is_left_alone(tmp_path: Path) -> None:
    network = {
        "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
        "sys/bus/pci/devices/0000:01:00.0/class": "0x020000\n",
    }
    assert run(tmp_path, network) == (0, "no NVIDIA GPU on this host: nothing to do", [])


def test_missing_nodes_are_made_with_the_drivers_numbers_and_rights(tmp_path: Path) -> None:
    code, said, ran = run(tmp_path, {**CARD, **DRIVER})
    assert (code, said) == (0, "driver 580.159.04, devices: nvidia0 nvidia1")
    assert [line for line in ran if line.startswith("mknod")] == [
        "mknod /dev/nvidiactl c 195 255",
        "mknod /dev/nvidia-uvm c 236 0",
        "mknod /dev/nvidia-uvm-tools c 236 1",
        "mknod /dev/nvidia0 c 195 0",
        "mknod /dev/nvidia1 c 195 1",
    ]
    assert "chown 0:44 /dev/nvidia0" in ran
    assert "chmod 0660 /dev/nvidia0" in ran
    assert not any(line.startswith("modprobe") for line in ran)


def test_nodes_that_are_there_are_kept(tmp_path: Path) -> None:
    there = {f"dev/{name}": "" for name in ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")}
    _, _, ran = run(tmp_path, {**CARD, **DRIVER, **there})
    assert [line for line in ran if "mknod" in line] == [
        "mknod /dev/nvidia0 c 195 0",
        "mknod /dev/nvidia1 c 195 1",
    ]
    assert "chmod 0660 /dev/nvidiactl" not in ran, "it keeps its rights"


def test_a_driver_that_forbids_it_gets_no_nodes(tmp_path: Path) -> None:
    params = PARAMS.replace("ModifyDeviceFiles: 1", "ModifyDeviceFiles: 0")
    code, _, ran = run(tmp_path, {**CARD, **DRIVER, "proc/driver/nvidia/params": params})
    assert (code, ran) == (0, [])


def test_modules_that_are_not_loaded_are(tmp_path: Path) -> None:
    made = "".join(
        f'mkdir -p "$(dirname "$ROOT/{path}")"; printf "%s" "{text}" > "$ROOT/{path}"\n'
        for path, text in DRIVER.items()
    )
    code, said, ran = run(tmp_path, CARD, modprobe=made)
    assert (code, said) == (0, "driver 580.159.04, devices: nvidia0 nvidia1")
    assert ran[0] == "modprobe nvidia"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (CARD, "module nvidia cannot be loaded: is the driver installed for kernel"),
        (
            {k: v for k, v in {**CARD, **DRIVER}.items() if "gpus" not in k},
            "the driver is loaded and has no GPU: look at",
        ),
    ],
)
def test_a_gpu_that_cannot_be_used_is_a_failure_that_says_what_to_look_at(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    code, words, _ = run(tmp_path, files, modprobe="exit 1")
    assert code == 1
    assert said in words
