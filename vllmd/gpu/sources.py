"""Where readings come from, and how that is started."""

import importlib.util
import sys
from pathlib import Path

from vllmd.gpu import hardware
from vllmd.gpu.latest import Periods

NVML, DEMO, NONE = "nvml", "demo", "none"
PROGRAM = Path(__file__).with_name("__main__.py")


def source_of(wanted: str) -> str:
    """Return `nvml`, `demo` or `none`; `wanted` is one of these, or `auto`."""
    if wanted != "auto":
        return wanted
    return NVML if hardware.has_nvidia_gpu() else NONE


def command_of(source: str, periods: Periods) -> list[str]:
    """Return how a source is started: alone, by its path, whatever the daemon's own path is."""
    found = importlib.util.find_spec("pynvml")
    folder = str(Path(found.origin).parent) if found and found.origin else ""
    seconds = [str(each) for each in (periods.fast_s, periods.processes_s, periods.slow_s)]
    return [sys.executable, "-I", "-S", "-B", str(PROGRAM), source, folder, *seconds]
