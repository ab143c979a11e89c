"""A configuration that is read again: what it changes, and what became of it."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from vllmd import premises
from vllmd.clock import Clock
from vllmd.config import command
from vllmd.config.load import load
from vllmd.config.model import Config
from vllmd.config.overrides import Overrides
from vllmd.errors import ConfigError
from vllmd.http import web_file

POLL_S = 2.0
"""How often a file that cannot be used is looked at."""
EARLIER = "what an earlier reload changed"


@attrs.frozen
class Plan:
    """What another configuration means. Keys are named, never their values."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    applied: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Keys that hold at once, by engine; those of the daemon itself under ``""``."""
    restart: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Keys that hold once the engine was restarted, by engine."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan as the control socket tells it."""
        return attrs.asdict(self)


@attrs.define
class Reloads:
    """What became of the last reading of the file; it outlives the daemon that read it."""

    problem: str | None = None
    """Why the file could not be used when it was last read; None if it could."""
    succeeded_at: float | None = None
    """When it was last read well, in seconds since the epoch."""
    restart: frozenset[str] = frozenset()
    """Engines that the next daemon restarts if their command changed."""
    stop: frozenset[str] = frozenset()
    """Engines that are configured no more, and end with this daemon."""

    stop_signal: str | None = None
    """The signal that asked a daemon to stop while it ended for a reload: the next one obeys."""

    @property
    def refusal(self) -> str | None:
        """Say that the last reload was refused, and why; None if it was not."""
        if self.problem is None:
            return None
        return f"the last reload was refused, nothing changed: {self.problem}"

    def refuse(self, problem: str) -> None:
        """Note that the file cannot be used."""
        self.problem = problem

    def accept(self, at: float) -> None:
        """Note that the file is used."""
        self.problem, self.succeeded_at = None, at

    def apply(self, plan: Plan) -> None:
        """Have the engines restarted and stopped that the plan names."""
        self.restart, self.stop = frozenset(plan.restart), frozenset(plan.removed)


async def wait_until_usable(path: Path, clock: Clock) -> None:
    """Wait until a file that could not be used can be."""
    while True:
        await clock.sleep(POLL_S)
        with contextlib.suppress(ConfigError):
            await asyncio.to_thread(load, path)
            return


Running = Mapping[str, str]
"""The fingerprint of the command that each engine runs with, of those that do run."""


def read_again(
    now: Config, running: Running, overrides: Overrides | None = None
) -> tuple[Config, Plan]:
    """Read the file of a configuration again, and its web configuration if it names another.

    Raises: VllmdError: it cannot be used by this daemon; nothing changed.
    """
    if now.path is None:
        raise ConfigError("this configuration was not read from a file: there is none to reload")
    new = (overrides or Overrides()).apply(load(Path(now.path))[0])
    web = new.daemon.web_config_file
    if web and web != now.daemon.web_config_file:
        web_file.load(Path(web))
    premises.refuse_other_place(now.daemon, new.daemon)
    return new, plan(now, new, running)


def plan(now: Config, new: Config, running: Running) -> Plan:
    """Say what is different for each engine, and which of them runs with another command."""
    applied: dict[str, tuple[str, ...]] = {}
    restart: dict[str, tuple[str, ...]] = {}
    alone, renewed = (attrs.evolve(config, engines={}, path=None) for config in (now, new))
    if changed := tuple(_changed(alone, renewed)):
        applied[""] = changed
    commands = command.build_all(new)
    for name, after in new.engines.items():
        before = now.engines.get(name, after)
        changed = tuple(_changed(before, after))
        if name in running and running[name] != commands[name].hash:
            restart[name] = changed or (EARLIER,)
        elif changed:
            applied[name] = changed
    return Plan(
        added=tuple(name for name in new.engines if name not in now.engines),
        removed=tuple(name for name in now.engines if name not in new.engines),
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
