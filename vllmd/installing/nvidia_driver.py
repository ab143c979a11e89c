"""The NVIDIA driver of this host, and which generations of CUDA it serves."""

import re
import shutil
import subprocess
from pathlib import Path

DRIVER_FILE = Path("/proc/driver/nvidia/version")
NVIDIA_SMI_S = 10.0
NEEDS = {11: (450, 80), 12: (525, 60), 13: (580, 65)}
"""The oldest driver for each generation of CUDA, on Linux for x86.

Source: CUDA compatibility guide of NVIDIA, minor version compatibility: 450.80.02, 525.60.13,
580.65.06.
"""


def has_gpu() -> bool:
    """Tell whether this host has an NVIDIA driver with a device."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def driver_version(file: Path = DRIVER_FILE, program: str = "nvidia-smi") -> str | None:
    """Return the version of the NVIDIA driver that is loaded; None if there is none."""
    try:
        found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", file.read_text())
    except OSError:
        found = None
    if found:
        return found[1]
    try:
        lines = (query("driver_version", program) or "").split()
    except FileNotFoundError:
        return None
    return lines[0] if lines and lines[0][0].isdigit() else None


def query(keys: str, program: str = "nvidia-smi", *, units: bool = True) -> str | None:
    """Ask nvidia-smi of each GPU, a line each; None if it fails.

    Raises: FileNotFoundError: it is not installed.
    """
    plain = "csv,noheader" if units else "csv,noheader,nounits"
    command = [program, f"--query-gpu={keys}", f"--format={plain}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=NVIDIA_SMI_S, check=False
        )
    except FileNotFoundError:
        raise
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def too_old(driver: str, cuda: str) -> str | None:
    """Say which driver a CUDA needs, if this one is older; None if it will do, or is not known."""
    parts = [int(part) for part in re.findall(r"\d+", cuda)[:1]]
    needed = NEEDS.get(parts[0]) if parts else None
    has = tuple(int(part) for part in re.findall(r"\d+", driver)[:2])
    if needed is None or has >= needed:
        return None
    return ".".join(map(str, needed))
