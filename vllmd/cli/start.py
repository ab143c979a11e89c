"""`vllmd start`: start an engine."""

import click

from vllmd.cli.acting import act, timeout_option, wait_option
from vllmd.cli.options import engine_argument, socket_option
from vllmd.control.client import ControlClient


@click.command()
@engine_argument
@wait_option
@timeout_option(1800.0)
@socket_option
def command(engine: str, wait: bool, timeout: float, client: ControlClient) -> None:
    """Start an engine that was stopped, or that waits before its next start."""
    act(client, engine, "start", "ready" if wait else None, timeout)
