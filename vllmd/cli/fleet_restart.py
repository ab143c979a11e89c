"""`vllmd fleet restart` and `upgrade`: one replica after another, while the others serve."""

import asyncio
import re
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.acting import timeout_option
from vllmd.cli.fleet_asking import FleetView, view_of
from vllmd.cli.options import complete_engine, config_option, socket_option
from vllmd.control.client import ControlClient
from vllmd.fleet.replicas import Replica
from vllmd.fleet.rolling import RollingRestart, RollingSettings, Step
from vllmd.util.clock import SystemClock
from vllmd.util.units import HOUR_S, format_duration, parse_duration

INSTALL_S = 2.0 * HOUR_S
"""Gigabytes of wheels, over a slow line."""


class _TerminalLines:
    """Tells on the terminal how it goes on."""

    def line(self, text: str) -> None:
        """Print a line that stays."""
        if terminal.moves_cursor(err=True):
            terminal.replace_line()
        terminal.echo(text)

    def now(self, text: str) -> None:
        """Show it in place of what was shown before, where that is possible."""
        if terminal.moves_cursor(err=True):
            columns = terminal.width() or 80
            terminal.replace_line(text[: columns - 1])


def _duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _rolling_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        config_option,
        socket_option,
        click.option("--dry-run", is_flag=True, help="Print the commands, and run none."),
        click.option(
            "--settle",
            "settle_s",
            callback=_duration,
            help="How long a replica stays ready before the next one's turn; else fleet.settle_s.",
        ),
        click.option(
            "--min-ready",
            type=click.IntRange(min=0),
            help="Other replicas that stay ready at least; else fleet.min_ready.",
        ),
        click.option(
            "--skip", multiple=True, metavar="HOST", help="Leave this host out; repeatable."
        ),
        timeout_option(1800.0),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("engine", shell_complete=complete_engine)
@click.option(
    "--younger",
    "younger_than_s",
    callback=_duration,
    metavar="TIME",
    help="Leave out replicas that serve and were started less than so long ago, such as 1h: goes "
    "on where one that broke off had come to.",
)
@_rolling_options
def restart(engine: str, younger_than_s: float | None, **options: Any) -> None:
    """Restart the replicas of ENGINE one after another, while the others serve.

    ENGINE is an engine's name, or a model's name as requests give it. The next one is restarted
    when the last serves, and has served for fleet.settle_s; never so that fewer than
    fleet.min_ready others serve. Where its answers are looked at (probe), it is waited for them.
    The first failure ends it, and so do wrong answers. A replica that was stopped by hand, or
    sleeps, is left as it is. Each is restarted by fleet.command, which is 'ssh HOST vllmd'; how it
    goes on is read from the hosts' pages. Ctrl-C ends only the waiting: what was asked for is done
    there.
    """
    options["younger_than_s"] = younger_than_s
    _roll(engine, options, steps=(), is_done=lambda _: False)


@click.command()
@click.argument("engine", shell_complete=complete_engine)
@click.argument("version")
@_rolling_options
def upgrade(engine: str, version: str, **options: Any) -> None:
    """Bring the replicas of ENGINE to a version of vLLM, one after another.

    On each host 'vllmd engine install' installs VERSION beside the one that serves, and makes it
    the current one; then the replica is restarted as by 'vllmd fleet restart'. Of a model over
    several hosts all of them get it before its head is restarted. A replica that serves with that
    version already is left as it is, so the same command goes on where it broke off; one that
    serves with another one after its restart ends it. 'vllmd engine rollback' and 'vllmd restart'
    on a host go back.
    """
    options["younger_than_s"] = None
    steps = (Step(("engine", "install", version), INSTALL_S),)

    def is_done(replica: Replica) -> bool:
        return _release(replica.version or "") == _release(version)

    _roll(engine, options, steps=steps, is_done=is_done)


def _release(version: str) -> str:
    """Return a version without its build; 0.33 and 0.33.0 are the same."""
    return re.sub(r"(\.0)+$", "", version.partition("+")[0])


def _roll(
    name: str,
    options: dict[str, Any],
    *,
    steps: Sequence[Step],
    is_done: Callable[[Replica], bool],
) -> None:
    client: ControlClient = options["client"]
    config_path: Path = options["config_path"]
    view = view_of(config_path, client, skip=options["skip"])
    fleet, given = view.fleet, options
    settings = RollingSettings(
        min_ready=fleet.min_ready if given["min_ready"] is None else given["min_ready"],
        settle_s=fleet.settle_s if given["settle_s"] is None else given["settle_s"],
        timeout_s=given["timeout"],
        younger_than_s=given["younger_than_s"],
    )
    asyncio.run(_run(name, view, settings, steps, is_done, dry_run=given["dry_run"]))


async def _run(
    name: str,
    view: FleetView,
    settings: RollingSettings,
    steps: Sequence[Step],
    is_done: Callable[[Replica], bool],
    *,
    dry_run: bool,
) -> None:
    began, told = time.monotonic(), _TerminalLines()
    async with view.asking() as pages:
        rolling = RollingRestart(
            name, pages, view.run, settings, SystemClock(), told, steps, is_done
        )
        replicas = await rolling.plan()
        if dry_run:
            for replica in replicas:
                for part in rolling.parts_of(replica):
                    for step in steps:
                        terminal.echo(shlex.join(view.argv(part.host, step.words)))
                terminal.echo(shlex.join(view.argv(replica.host, ("restart", replica.name))))
            return
        try:
            await rolling.go(replicas)
        except BaseException:
            told.now("")
            for line in _where_it_stands(rolling, replicas):
                terminal.echo(line, err=True)
            raise
    took = format_duration(time.monotonic() - began)
    count = len(rolling.done)
    terminal.echo(f"{name}: {count} replica{'s' * (count != 1)} restarted in {took}")


def _where_it_stands(rolling: RollingRestart, replicas: Sequence[Replica]) -> list[str]:
    """Say what was done and what was not, for who has to go on."""
    current = rolling.current
    begun = {each.place for each in (*rolling.done, *([current] if current else []))}
    left = [each for each in replicas if each.place not in begun]
    said = [f"restarted: {', '.join(each.label for each in rolling.done) or 'none'}"]
    if current is not None:
        said.append(f"asked to restart, and not seen to serve since: {current.label}")
    said.append(f"not touched: {', '.join(each.label for each in left) or 'none'}")
    return said
