"""`vllmd lora`: the adapters of an engine, added and removed while it serves."""

import os
import time
from collections.abc import Callable
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.options import CommandGroup, complete_engine, json_option, socket_option
from vllmd.cli.table import format_table, join
from vllmd.control.client import ControlClient
from vllmd.engine.state_machine import State
from vllmd.errors import TimedOutError, VllmdError
from vllmd.util.units import format_duration

POLL_S = 0.1
HEADER = ["ENGINE", "ADAPTER", "STATE", "WANTED BY", "PATH"]

engine_option = click.option(
    "-e", "--engine", shell_complete=complete_engine, help="Whose; needed if several have adapters."
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="How long to wait until it is done, in seconds; 0 does not wait.",
)


def complete_adapter(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Name the adapters that begin so."""
    client = ctx.params.get("client")
    try:
        engines = client.adapters() if isinstance(client, ControlClient) else []
    except VllmdError:
        return []
    names = {adapter["name"] for engine in engines for adapter in engine["adapters"]}
    return sorted(name for name in names if name.startswith(incomplete))


name_argument = click.argument("name", shell_complete=complete_adapter)


@click.group(cls=CommandGroup)
def command() -> None:
    """Add, remove and show LoRA adapters while an engine serves.

    Adapters come from three places: lora.modules in the configuration, the folder lora.directory,
    and 'vllmd lora add'. They are loaded again after every restart.
    """


@command.command("list")
@click.argument("engine", required=False, shell_complete=complete_engine)
@socket_option
@json_option
def list_(client: ControlClient, engine: str | None, as_json: bool) -> None:
    """Show each adapter, whether it is loaded, and why not."""
    engines = [each for each in client.adapters() if engine in (None, each["engine"])]
    if engine is not None and not engines:
        client.engine(engine)  # says if there is none of that name
    if as_json:
        terminal.echo_json(engines, indent=2)
        return
    rows = [_row(each["engine"], adapter) for each in engines for adapter in each["adapters"]]
    if not rows:
        terminal.echo(
            "no adapter is configured; 'vllmd lora add NAME PATH' adds one"
            if engines
            else "no engine serves adapters: add a table [engines.NAME.lora]"
        )
    else:
        for cells in format_table(HEADER, rows):
            terminal.echo(join(cells))
    for each in engines:
        for adapter in each["adapters"]:
            for line in _remarks(adapter):
                terminal.echo(terminal.style(f"{adapter['name']}: {line}", fg="yellow"), err=True)
        if each["problem"]:
            terminal.echo(
                terminal.style(f"{each['engine']}: {each['problem']}", fg="red"), err=True
            )


@command.command()
@name_argument
@click.argument("path")
@engine_option
@timeout_option
@socket_option
def add(client: ControlClient, name: str, path: str, engine: str | None, timeout: float) -> None:
    """Serve the adapter in the folder PATH under NAME, now and after every restart.

    It is checked first: one that vLLM would refuse changes nothing. Exits 75 if it is not loaded
    in time; it stays wanted.
    """
    engine = _engine(client, engine)
    if os.path.isdir(path):
        path = os.path.abspath(path)
    change = _Change(client, engine, name, timeout)
    client.change_adapter(engine, "add", name, path)
    change.wait(lambda adapter: adapter is not None and adapter["condition"] == "loaded")


@command.command()
@name_argument
@engine_option
@timeout_option
@socket_option
def remove(client: ControlClient, name: str, engine: str | None, timeout: float) -> None:
    """Stop serving an adapter that 'vllmd lora add' added."""
    engine = _engine(client, engine)
    change = _Change(client, engine, name, timeout)
    client.change_adapter(engine, "remove", name)
    change.wait(lambda adapter: adapter is None)


@command.command()
@name_argument
@engine_option
@timeout_option
@socket_option
def reload(client: ControlClient, name: str, engine: str | None, timeout: float) -> None:
    """Read an adapter's files again, in place.

    Requests go on; those that begin later are answered by the new weights, also where their
    prompts are in the prefix cache.
    """
    engine = _engine(client, engine)
    change = _Change(client, engine, name, timeout)
    client.change_adapter(engine, "reload", name)
    change.wait(lambda adapter: adapter is not None and change.is_newer(adapter))


def _engine(client: ControlClient, name: str | None) -> str:
    if name is not None:
        return name
    engines = [each["engine"] for each in client.adapters()]
    if len(engines) == 1:
        return str(engines[0])
    if not engines:
        raise VllmdError("no engine serves adapters: add a table [engines.NAME.lora]")
    raise click.UsageError(f"several engines have adapters ({', '.join(engines)}): give --engine")


def _of(client: ControlClient, engine: str) -> dict[str, Any]:
    return next((each for each in client.adapters() if each["engine"] == engine), {"adapters": []})


def _find(shown: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((dict(a) for a in shown["adapters"] if a["name"] == name), None)


class _Change:
    """One adapter, as it was before it is changed."""

    def __init__(self, client: ControlClient, engine: str, name: str, timeout_s: float) -> None:
        self._client = client
        self._engine = engine
        self._name = name
        self._timeout_s = timeout_s
        before = _find(_of(client, engine), name) or {}
        self._errors = before.get("errors", 0)
        self._changed_at = before.get("changed_at")

    def is_newer(self, adapter: dict[str, Any]) -> bool:
        """Tell whether it was loaded since."""
        return bool(adapter["condition"] == "loaded" and adapter["changed_at"] != self._changed_at)

    def wait(self, done: Callable[[dict[str, Any] | None], bool]) -> None:
        """Wait until the adapter is what it should be, and say so.

        Raises: VllmdError: it cannot be; TimedOutError: it is not yet.
        """
        name, engine = self._name, self._engine
        began = time.monotonic()
        state = self._client.engine(engine)["state"]
        if state != State.READY:
            terminal.echo(
                f"{engine} is {state}: it has its adapters as soon as it serves", err=True
            )
            return
        while self._timeout_s:
            shown = _of(self._client, engine)
            adapter = _find(shown, name)
            if adapter and adapter["errors"] > self._errors:
                raise VllmdError(f"{name} is not loaded: {adapter['reason']}")
            if done(adapter):
                took = format_duration(time.monotonic() - began)
                terminal.echo(f"{name}: {'loaded' if adapter else 'unloaded'} after {took}")
                return
            if time.monotonic() - began > self._timeout_s:
                problem = shown["problem"] or (adapter or {}).get("reason")
                raise TimedOutError(
                    f"{name} is not done after {format_duration(self._timeout_s)}"
                    f"{f': {problem}' if problem else ''}; it goes on; 'vllmd lora list' shows it"
                )
            time.sleep(POLL_S)


def _row(engine: str, adapter: dict[str, Any]) -> list[str]:
    condition = adapter["condition"] + (" (stale)" if adapter["stale"] else "")
    return [engine, adapter["name"], condition, adapter["source"] or "nobody", adapter["path"]]


def _remarks(adapter: dict[str, Any]) -> list[str]:
    told = [adapter["reason"]] if adapter["reason"] else []
    if adapter["stale"]:
        told.append(f"its files changed since it was loaded: 'vllmd lora reload {adapter['name']}'")
    return told
