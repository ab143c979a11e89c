"""Character devices with NVIDIA's names in a kernel of one's own, by CUSE, and who may open them.

Nothing answers behind them, and nothing has to: the kernel asks the unit's device policy before it
asks the device. Source: include/uapi/linux/fuse.h, fs/fuse/cuse.c.
"""

import os
import struct
import subprocess
import threading
from pathlib import Path

OPEN = 14
NVIDIA = {"nvidiactl": (195, 255), "nvidia": (195, 0), "nvidia-uvm": (236, 0)}
"""Numbers as the driver has them: a group in /proc/devices for each name."""

DRIVER = {
    "version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu\n",
    "params": "DeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: 438\nModifyDeviceFiles: 1\n",
    "gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\nDevice Minor: \t 0\n",
}


def plug_in() -> None:
    """Make the devices, and what the driver says of itself in /proc."""
    subprocess.run(["modprobe", "cuse"], check=True)
    for name, numbers in NVIDIA.items():
        _serve(name, numbers)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/proc/driver"], check=True)
    for path, text in DRIVER.items():
        file = Path("/proc/driver/nvidia", path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _serve(name: str, numbers: tuple[int, int]) -> None:
    """Create a device and answer for it in a thread: it is opened, and no more."""
    cuse = os.open("/dev/cuse", os.O_RDWR)
    unique, _ = _request(cuse)
    major, minor = numbers
    made = struct.pack("<IIIIIIII40x", 7, 31, 0, 0, 4096, 4096, major, minor)
    _answer(cuse, unique, made + f"DEVNAME={name}\0".encode())

    def run() -> None:
        while True:
            unique, code = _request(cuse)
            _answer(cuse, unique, struct.pack("<QII", 0, 0, 0) if code == OPEN else b"")

    threading.Thread(target=run, daemon=True).start()


def _request(cuse: int) -> tuple[int, int]:
    _, code, unique = struct.unpack_from("<IIQ", os.read(cuse, 1 << 17))
    return unique, code


def _answer(cuse: int, unique: int, body: bytes) -> None:
    os.write(cuse, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)
