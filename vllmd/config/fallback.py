"""A broken configuration must not take the daemon down: it goes on with the last good one."""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import attrs

from vllmd.config import variable_names
from vllmd.config.load import MAX_BYTES, load
from vllmd.config.model import Config, DaemonConfig
from vllmd.config.problem import ConfigProblem, InvalidConfigError
from vllmd.shim.files import read_regular
from vllmd.util.deadline import call_within

KEPT_NAME = "last-good.toml"
_WEB_CONFIG_FILE = re.compile(r"""(?m)^[^#\n]*\bweb_config_file"?\s*=\s*["'](/[^"'\n]+)["']""")


@attrs.frozen
class LoadedConfig:
    """A configuration to run with. `problem` says why it is not the one in the file, if so."""

    config: Config
    warnings: list[ConfigProblem]
    problem: str | None = None


def load_or_fall_back(
    path: Path, state_dir: Path, env: Mapping[str, str] = os.environ
) -> LoadedConfig:
    """Read a configuration; if it cannot be used, the last one that could be takes its place.

    Variables that are wrong are left out then. With neither, the result configures no engine; the
    web configuration that a variable or the broken file names holds all the same: a mistake
    elsewhere must not open the exporter to everybody.
    """
    try:
        config, warnings = load(path, env)
    except InvalidConfigError as error:
        wrong = {each.variable for each in error.problems}
        right = {name: text for name, text in env.items() if name not in wrong}
        try:
            kept, _ = load(state_dir / KEPT_NAME, right)
        except InvalidConfigError:
            kept = _bare(path, env)
        return LoadedConfig(attrs.evolve(kept, path=str(path)), [], _sentence(path, error))
    keep_good(path, state_dir)
    return LoadedConfig(config, warnings)


def _bare(path: Path, env: Mapping[str, str]) -> Config:
    text = ""
    with contextlib.suppress(OSError):
        content = call_within(str(path), lambda: read_regular(path, MAX_BYTES))
        text = content.decode(errors="replace")
    found = _WEB_CONFIG_FILE.search(text)
    web_config = variable_names.value_of(("daemon", "web_config_file"), env) or (found and found[1])
    run_dir = variable_names.value_of(("daemon", "run_dir"), env)
    return Config(daemon=DaemonConfig(web_config_file=web_config or None, run_dir=run_dir))


def keep_good(path: Path, state_dir: Path) -> None:
    """Keep a file that can be used, for a start when it cannot; a full disk is no failure."""
    with contextlib.suppress(OSError):
        _keep(path, state_dir)


def _sentence(path: Path, error: InvalidConfigError) -> str:
    first = error.problems[0].format(str(path))
    more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
    return (
        f"the configuration cannot be used, nothing new is started: {first}{more}; "
        f"'vllmd check --config {path}' shows all, and once it is clean vllmd goes on by itself"
    )


def _keep(path: Path, state_dir: Path) -> None:
    """Copy a good file, for the daemon's eyes only: it may hold secrets."""
    state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    temporary = state_dir / f"{KEPT_NAME}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(call_within(str(path), lambda: read_regular(path, MAX_BYTES)))
    temporary.replace(state_dir / KEPT_NAME)
