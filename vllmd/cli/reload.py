"""`vllmd reload`: the daemon reads its configuration again."""

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import click

from vllmd.cli import terminal
from vllmd.cli.acting import timeout_option
from vllmd.cli.options import json_option, socket_option
from vllmd.cli.waiting import wait_until
from vllmd.control.client import ControlClient
from vllmd.engine.state_machine import State
from vllmd.errors import TimedOutError

POLL_S = 0.1


@click.command()
@click.option(
    "--apply",
    is_flag=True,
    help="Restart the engines that need it, and stop those that are no longer configured.",
)
@click.option("--wait", is_flag=True, help="With --apply: return when they serve.")
@timeout_option(1800.0)
@socket_option
@json_option
def command(client: ControlClient, apply: bool, wait: bool, timeout: float, as_json: bool) -> None:
    """Read the configuration again, without a restart of anything.

    A broken file changes nothing: the mistake is shown, and 78 is the exit code. A good one holds
    at once where it can; what needs a restart of an engine is listed.
    """
    before = client.status()
    plan = client.reload(apply=apply)
    shims = {engine["name"]: engine["shim_pid"] for engine in before["engines"]}
    if apply:
        _wait_until_gone(client, plan["running"], timeout)
    if as_json:
        terminal.echo_json(plan, indent=2)
    else:
        for line in describe(plan, shims, applied=apply):
            terminal.echo(line)
    if apply and wait:
        runs = {engine["name"]: engine["run_id"] for engine in before["engines"]}
        for name in (*plan["restart"], *plan["added"]):
            _wait_for_new_run(client, name, runs.get(name), timeout)


def _wait_until_gone(client: ControlClient, names: Collection[str], timeout_s: float) -> None:
    """Wait until engines are stopped that are configured no more.

    Raises: TimedOutError: one is not in time.
    """
    deadline = time.monotonic() + timeout_s
    while left := {e["name"] for e in client.status()["engines"]} & set(names):
        if time.monotonic() >= deadline:
            raise TimedOutError(f"still being stopped: {', '.join(sorted(left))}")
        time.sleep(POLL_S)


def _wait_for_new_run(client: ControlClient, name: str, run: str | None, timeout_s: float) -> None:
    def reached(engine: dict[str, Any]) -> bool:
        return bool(engine["state"] == State.READY and engine["run_id"] != run)

    wait_until(client, name, "ready", reached, timeout_s)
    terminal.echo(f"{name}: ready", err=True)


def describe(
    plan: dict[str, Any], shims: Mapping[str, int | None], *, applied: bool
) -> Iterator[str]:
    """Say what another configuration changes, a line for each engine."""
    for name, keys in plan["applied"].items():
        yield f"{name or 'the daemon'}: in force now: {', '.join(keys)}"
    for name, keys in plan["restart"].items():
        changed = ", ".join(keys)
        if applied:
            yield f"{name}: is being restarted with: {changed}"
        else:
            yield (
                f"{name}: serves on as before; needs a restart for: {changed} "
                f"('vllmd restart {name}', or 'vllmd reload --apply' for all)"
            )
    for name in plan["added"]:
        yield f"{name}: new, is being started"
    for name in plan["removed"]:
        if name not in plan["running"]:
            yield f"{name}: not configured any more"
        elif applied:
            yield f"{name}: not configured any more, was stopped"
        else:
            yield (
                f"{name}: not configured any more; it runs on, not supervised: "
                f"'kill {shims.get(name)}' ends it in order, or put it back into the file and "
                "reload again"
            )
    if not any(plan.values()):
        yield "nothing changed"
