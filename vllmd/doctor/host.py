"""The host as checks see it: what the daemon knows, and what can be read without it."""

import csv
import os
import resource
import socket
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from vllmd.config.model import Config
from vllmd.doctor.case import GpuFacts, Host
from vllmd.units import MIB

SHARED_MEMORY = "/dev/shm"
CONNECT_S = 0.3
NVIDIA_SMI_S = 10.0
_QUERY = "memory.total,memory.reserved,memory.free"


def look(config: Config, status: Mapping[str, Any] | None, gpus: Mapping[str, Any] | None) -> Host:
    """Return the host; `status` and `gpus` are the daemon's answers, None where none runs."""
    engines = (status or {}).get("engines", ())
    return Host(
        _told(gpus) or ask_nvidia_smi(),
        _shared_memory(),
        resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        frozenset(each["name"] for each in engines if each.get("pid")),
        frozenset(_answering(config)),
    )


def _told(gpus: Mapping[str, Any] | None) -> tuple[GpuFacts, ...] | None:
    """Return the GPUs that the daemon reads; None if it reads none."""
    found = []
    for each in (gpus or {}).get("gpus", ()):
        values = each.get("values", {})
        try:
            sizes = [int(values[f"memory_{name}_bytes"]) for name in ("total", "reserved", "free")]
        except KeyError:
            return None
        found.append(GpuFacts(*sizes))
    return tuple(found) or None


def ask_nvidia_smi(program: str = "nvidia-smi") -> tuple[GpuFacts, ...] | None:
    """Return the GPUs by nvidia-smi: none where it is not installed, None if it fails."""
    command = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=NVIDIA_SMI_S, check=False
        )
    except FileNotFoundError:
        return ()
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    try:
        rows = [[int(cell) * MIB for cell in row] for row in csv.reader(done.stdout.splitlines())]
        return tuple(GpuFacts(*row) for row in rows)
    except (ValueError, TypeError):
        return None


def _shared_memory() -> int | None:
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return found.f_blocks * found.f_frsize


def _answering(config: Config) -> Iterator[tuple[str, int]]:
    for engine in config.engines.values():
        host = "127.0.0.1" if engine.host in ("0.0.0.0", "::") else engine.host
        try:
            socket.create_connection((host, engine.port), timeout=CONNECT_S).close()
        except OSError:
            continue
        yield engine.host, engine.port
