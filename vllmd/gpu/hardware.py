"""What the host says of its GPUs without NVML: are there any, and which driver is it?

Source: sysfs-pci (vendor 0x10de is NVIDIA, class 0x03 a display controller), and the driver's own
/sys/module/nvidia/version, seen with 580.159.
"""

import ctypes.util
import os
import re
from pathlib import Path

PCI_DEVICES = Path("/sys/bus/pci/devices")
KERNEL_MODULE = Path("/sys/module/nvidia/version")
LIBRARY_NAME = "libnvidia-ml.so.1"

_NVIDIA = "0x10de"
_DISPLAY = "0x03"
_VERSION = re.compile(r"libnvidia-ml\.so\.(\d+\.\d+(?:\.\d+)?)$")


def has_nvidia_gpu(pci: Path = PCI_DEVICES) -> bool:
    """Tell whether an NVIDIA GPU is in the host, or its driver's library is installed."""
    try:
        devices = list(pci.iterdir())
    except OSError:
        devices = []
    if any(_read(d / "vendor") == _NVIDIA and _is_display(d) for d in devices):
        return True
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    if any(folder and Path(folder, LIBRARY_NAME).exists() for folder in folders):
        return True
    return ctypes.util.find_library("nvidia-ml") is not None


def _is_display(device: Path) -> bool:
    return _read(device / "class").startswith(_DISPLAY)


def kernel_driver_version(path: Path = KERNEL_MODULE) -> str | None:
    """Return the version of the driver that the kernel runs; None if it runs none."""
    return _read(path) or None


def library_version(loaded: str) -> str | None:
    """Return the version of the library that a new process would load now.

    `loaded` is the file that a reader has loaded: what is installed later lies beside it.

    Returns: None if the file's name tells none.
    """
    link = Path(loaded).with_name(LIBRARY_NAME)
    match = _VERSION.search(os.path.realpath(link if link.exists() else loaded))
    return match[1] if match else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
