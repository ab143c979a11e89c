"""Where things are kept.

The configuration decides; else the folders that systemd made for the unit; else, for root, those
of a system service; else the user's own.
"""

import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vllmd.config import variable_names
from vllmd.shim.files import read_regular
from vllmd.shim.protocol import SOCKET_NAME
from vllmd.util.deadline import call_within
from vllmd.util.units import MIB

if TYPE_CHECKING:
    from vllmd.config.model import Config

MAX_CONFIG_BYTES = 4 * MIB
ENGINES = "vllmd/engine"
SYSTEM_ENGINES = Path("/opt") / ENGINES
MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path without its NUL. Source: unix(7)."""


def run_dir(config: "Config", env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for sockets and locks."""
    return Path(config.daemon.run_dir or default_run_dir(env))


def named_run_dir(config_path: Path, env: Mapping[str, str] = os.environ) -> Path | None:
    """Return the run directory that a configuration, or a variable, names; None if none does.

    The file may be broken: then `vllmd check` says so, and a command that only looks for the daemon
    does not.
    """
    if given := variable_names.value_of(("daemon", "run_dir"), env):
        return Path(given)
    try:
        content = call_within(str(config_path), lambda: read_regular(config_path, MAX_CONFIG_BYTES))
        found = tomllib.loads(content.decode()).get("daemon", {}).get("run_dir")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return Path(found) if isinstance(found, str) and found else None


def default_run_dir(env: Mapping[str, str] = os.environ) -> str:
    """Return the run directory of a daemon that is told nothing else."""
    if "RUNTIME_DIRECTORY" in env:
        return env["RUNTIME_DIRECTORY"].split(":")[0]
    if os.geteuid() == 0:
        return "/run/vllmd"
    if "XDG_RUNTIME_DIR" in env:
        return f"{env['XDG_RUNTIME_DIR']}/vllmd"
    return f"{tempfile.gettempdir()}/vllmd-{os.geteuid()}"


def state_dir(config: "Config", env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for what must be kept."""
    return Path(config.daemon.state_dir or _default(env, "STATE_DIRECTORY", "/var/lib/vllmd"))


def log_dir(config: "Config", env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for the engines' output."""
    return Path(config.daemon.log_dir or _default(env, "LOGS_DIRECTORY", "/var/log/vllmd"))


def written(config: "Config") -> dict[str, Path]:
    """Return the folders that vllmd writes to, by what they are for."""
    return {"state": state_dir(config), "logs": log_dir(config)}


def _default(env: Mapping[str, str], variable: str, system: str) -> str:
    if variable in env:
        return env[variable].split(":")[0]
    if os.geteuid() == 0:
        return system
    state_home = env.get("XDG_STATE_HOME") or f"{env.get('HOME', '/')}/.local/state"
    return f"{state_home}/vllmd" if variable == "STATE_DIRECTORY" else f"{state_home}/vllmd/log"


def engine_prefix(env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which this user's engines are installed."""
    return SYSTEM_ENGINES if os.geteuid() == 0 else own_engines(env)


def own_engines(env: Mapping[str, str]) -> Path:
    """Return the folder of the engines that a plain user installed."""
    return Path(env.get("XDG_DATA_HOME") or f"{env.get('HOME') or '/'}/.local/share") / ENGINES


def cache_home(env: Mapping[str, str]) -> Path:
    """Return the folder in which a program with that environment keeps what it can make again."""
    return Path(env.get("XDG_CACHE_HOME") or f"{env.get('HOME') or '/'}/.cache")


def engine_dir(run: Path, name: str) -> Path:
    """Return the folder of one engine's shim."""
    return run / "engines" / name


def api_keys(run: Path, name: str) -> Path:
    """Return the file of vLLM's own configuration with an engine's API keys."""
    return run / "api-keys" / f"{name}.yaml"


def copied_to_stdout(run: Path, name: str) -> Path:
    """Return the file that says how much of an engine's output standard output has."""
    return run / "stdout" / name


def weights_dir(run: Path, name: str) -> Path:
    """Return the folder of the shim that keeps one engine's weights, and of their sockets."""
    return run / "weights" / name


def control_socket(run: Path) -> Path:
    """Return the path of the control socket."""
    return run / "control.sock"


def engine_log(logs: Path, name: str) -> Path:
    """Return the file that an engine's output goes to."""
    return logs / f"{name}.log"


def weights_log(logs: Path, name: str) -> Path:
    """Return the file that the output of what keeps an engine's weights goes to."""
    return logs / f"{name}.weights.log"


def socket_path_bytes(config: "Config", name: str) -> int:
    """Return how long the path of an engine's socket is, in bytes."""
    return len(os.fsencode(engine_dir(run_dir(config), name) / SOCKET_NAME))
