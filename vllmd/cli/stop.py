"""`vllmd stop`: stop an engine."""

import click

from vllmd.cli.acting import act, timeout_option
from vllmd.cli.options import chosen_engine, engine_argument, socket_option
from vllmd.control.client import ControlClient


@click.command()
@engine_argument
@click.option("--no-wait", is_flag=True, help="Return at once.")
@timeout_option(300.0)
@socket_option
def command(engine: str | None, no_wait: bool, timeout: float, client: ControlClient) -> None:
    """Stop an engine; returns when nothing of it is left.

    It stays stopped until `vllmd start`, or the next boot, also when the daemon starts again.
    """
    act(client, chosen_engine(client, engine), "stop", None if no_wait else "stopped", timeout)
