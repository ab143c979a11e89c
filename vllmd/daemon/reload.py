"""A configuration that is read again: what it changes, and what became of it."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from vllmd.config import command
from vllmd.config.command import Commands
from vllmd.config.load import load
from vllmd.config.model import Config
from vllmd.config.problem import ConfigProblem
from vllmd.config.run_options import Overrides
from vllmd.daemon import startup
from vllmd.engine.process.run_state import Run
from vllmd.errors import ConfigError
from vllmd.http import web_file
from vllmd.util.clock import Clock

POLL_S = 2.0
"""How often a file that cannot be used is looked at."""
EARLIER = "what an earlier reload changed"


@attrs.frozen
class ReloadPlan:
    """What another configuration means. Keys are named, never their values."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    """Those of the removed that run: they are left alone, or stopped if that was asked for."""
    applied: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Keys that hold at once, by engine; those of the daemon itself under ``""``."""
    restart: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Keys that hold once the engine was restarted, by engine."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan as the control socket tells it."""
        return attrs.asdict(self)


@attrs.frozen
class ConfigSnapshot:
    """A configuration, as its file has it, and the command of each of its engines."""

    config: Config
    commands: Commands
    warnings: tuple[ConfigProblem, ...] = ()
    problem: str | None = None
    """Why nothing new is started with it; None if it is what the file says."""

    @classmethod
    def of(
        cls, config: Config, warnings: Collection[ConfigProblem] = (), problem: str | None = None
    ) -> "ConfigSnapshot":
        """Work out the commands, once for all who need them."""
        return cls(config, command.build_all(config), tuple(warnings), problem)


@attrs.define
class Reloads:
    """What became of the last reading of the file."""

    problem: str | None = None
    """Why the file could not be used when it was last read; None if it could."""
    succeeded_at: float | None = None
    """When it was last read well, in seconds since the epoch."""

    @property
    def refusal(self) -> str | None:
        """Say that the last reload was refused, and why; None if it was not."""
        if self.problem is None:
            return None
        return f"the last reload was refused, nothing changed: {self.problem}"

    def last_read(self) -> tuple[bool, float | None]:
        """Return whether the file could be used, and when it last could."""
        return self.problem is None, self.succeeded_at

    def refuse(self, problem: str) -> None:
        """Note that the file cannot be used."""
        self.problem = problem

    def accept(self, at: float) -> None:
        """Note that the file is used."""
        self.problem, self.succeeded_at = None, at


class NoFileError(ConfigError):
    """There is nothing to read again."""

    def __init__(self) -> None:
        super().__init__(
            "this configuration was not read from a file ('vllmd run --demo' has none): there is "
            "nothing to reload"
        )


async def wait_until_usable(path: Path, clock: Clock) -> None:
    """Wait until a file that could not be used can be."""
    while True:
        await clock.sleep(POLL_S)
        with contextlib.suppress(ConfigError):
            await asyncio.to_thread(load, path)
            return


Running = Mapping[str, str]
"""The fingerprint of the command that each engine runs with, of those that do run."""


def read_again(now: Config, overrides: Overrides | None = None) -> ConfigSnapshot:
    """Read the file of a configuration again, and its web configuration if it names another.

    It waits for the disk.

    Raises: VllmdError: it cannot be used by this daemon.
    """
    if now.path is None:
        raise NoFileError
    read, warnings = load(Path(now.path))
    new = (overrides or Overrides()).apply(read)
    web = new.daemon.web_config_file
    if web and web != now.daemon.web_config_file:
        web_file.load(Path(web))
    startup.refuse_other_place(now.daemon, new.daemon)
    return ConfigSnapshot.of(new, warnings)


def in_force(
    new: ConfigSnapshot,
    before: ConfigSnapshot | None,
    runs: Mapping[str, Run],
    ending: Collection[str],
) -> ConfigSnapshot:
    """Return what holds now of a configuration: what runs is reached as it was started.

    `before` is what was in force; `runs` is what runs, `ending` names engines that are configured
    no more and are just being stopped: they are looked after until they are gone.
    """
    engines, commands = {}, {}
    for name, engine in new.config.engines.items():
        run = runs.get(name)
        other = run is not None and run.command_hash != new.commands[name].hash
        known = before.commands.get(name) if before else None
        engines[name] = run.reached.settings(engine) if other and run else engine
        commands[name] = known if other and known else new.commands[name]
    for name in ending:
        if before is not None and name in before.config.engines and name not in engines:
            engines[name], commands[name] = before.config.engines[name], before.commands[name]
    return attrs.evolve(new, config=attrs.evolve(new.config, engines=engines), commands=commands)


def plan(now: Config, new: ConfigSnapshot, running: Running) -> ReloadPlan:
    """Say what is different for each engine, and which of them runs with another command."""
    applied: dict[str, tuple[str, ...]] = {}
    restart: dict[str, tuple[str, ...]] = {}
    alone, renewed = (attrs.evolve(each, engines={}, path=None) for each in (now, new.config))
    if changed := tuple(_changed(alone, renewed)):
        applied[""] = changed
    engines = new.config.engines
    for name, after in engines.items():
        before = now.engines.get(name, after)
        changed = tuple(_changed(before, after))
        if name in running and running[name] != new.commands[name].hash:
            restart[name] = changed or (EARLIER,)
        elif changed:
            applied[name] = changed
    removed = tuple(name for name in now.engines if name not in engines)
    return ReloadPlan(
        added=tuple(name for name in engines if name not in now.engines),
        removed=removed,
        running=tuple(name for name in removed if name in running),
        applied=applied,
        restart=restart,
    )


def _changed(before: Any, after: Any, prefix: str = "") -> Iterator[str]:
    """Yield the names of the keys that differ, those of tables with the table's name."""
    for field in attrs.fields(type(before)):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new:
            continue
        name = f"{prefix}{field.name}"
        if attrs.has(type(old)) and type(old) is type(new):
            yield from _changed(old, new, f"{name}.")
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            keys = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
            yield from (f"{name}.{key}" for key in keys)
        else:
            yield name
