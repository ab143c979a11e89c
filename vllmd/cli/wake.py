"""`vllmd wake`: wake an engine that sleeps."""

import click

from vllmd.cli.acting import timeout_option
from vllmd.cli.options import chosen_engine, engine_argument, json_option, socket_option
from vllmd.cli.sleep import change
from vllmd.control.client import ControlClient


@click.command()
@engine_argument
@click.option("--no-wait", is_flag=True, help="Return at once.")
@json_option
@timeout_option(900.0)
@socket_option
def command(
    engine: str | None, no_wait: bool, as_json: bool, timeout: float, client: ControlClient
) -> None:
    """Wake an engine that sleeps; returns when it serves.

    One that takes turns with others on a GPU has them put to sleep first. It stays awake until
    `vllmd sleep`, until it was idle for sleep.after_idle_s, or until its schedule changes.
    """
    change(client, chosen_engine(client, engine), "wake", no_wait, as_json, timeout)
