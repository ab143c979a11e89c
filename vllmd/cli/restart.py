"""`vllmd restart`: stop an engine and start it again."""

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
    """Stop an engine and start it again, with the configuration that the daemon has."""
    act(client, engine, "restart", "ready" if wait else None, timeout)
