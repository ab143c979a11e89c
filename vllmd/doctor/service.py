"""The package's units as systemd has them: their limits and variables are not those of a shell."""

import shlex
import subprocess
from collections.abc import Mapping

import attrs

from vllmd.util.units import parse_duration

SYSTEMCTL_S = 5.0
DAEMON = "vllmd-daemon.service"
ENGINE = "vllmd-engine@doctor.service"
EXPORTER = "vllmd-exporter.socket"


@attrs.frozen
class Service:
    """What systemd gives an engine."""

    env: Mapping[str, str]
    stop_s: float | None
    locked_memory_bytes: int | None
    """None: no limit."""
    open_files: int | None


def find(program: str = "systemctl") -> Service | None:
    """Return the service; None where the package's units are not installed."""
    daemon = _show(program, DAEMON, "LoadState,Environment")
    if daemon is None or daemon.get("LoadState") != "loaded":
        return None
    engine = _show(program, ENGINE, "TimeoutStopUSec,LimitMEMLOCK,LimitNOFILE") or {}
    words = (word.partition("=") for word in shlex.split(daemon.get("Environment", "")))
    return Service(
        {name: value for name, _, value in words},
        _seconds(engine.get("TimeoutStopUSec", "")),
        _limit(engine.get("LimitMEMLOCK", "")),
        _limit(engine.get("LimitNOFILE", "")),
    )


def exporter_addresses(program: str = "systemctl") -> tuple[tuple[str, int], ...]:
    """Return where the package's socket listens; nothing where it is not installed."""
    lines = (_run([program, "show", "--property=LoadState,Listen", EXPORTER]) or "").splitlines()
    if "LoadState=loaded" not in lines:
        return ()
    listed = [line.removeprefix("Listen=").split() for line in lines if line[:7] == "Listen="]
    pairs = (word.rpartition(":") for words in listed for word in words)
    return tuple((host.strip("[]"), int(port)) for host, _, port in pairs if port.isdigit())


def clock_is_kept(program: str = "timedatectl") -> bool | None:
    """Tell whether the clock is synchronized; None where nobody can say."""
    said = _run([program, "show", "--property=NTPSynchronized", "--value"])
    return None if said is None or said.strip() not in ("yes", "no") else said.strip() == "yes"


def _show(program: str, unit: str, keys: str) -> dict[str, str] | None:
    said = _run([program, "show", f"--property={keys}", unit])
    if said is None:
        return None
    pairs = (line.partition("=") for line in said.splitlines())
    return {key: value for key, _, value in pairs}


def _run(command: list[str]) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SYSTEMCTL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _seconds(text: str) -> float | None:
    """Read a time as systemd prints it: ``1min 30s``."""
    compact = text.replace("min", "m").replace(" ", "")
    try:
        return parse_duration(compact)
    except ValueError:
        return None


def _limit(text: str) -> int | None:
    return int(text) if text.isdigit() else None
