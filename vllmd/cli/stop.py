"""`vllmd stop`: stop an engine."""

import click

from vllmd.cli.acting import act, timeout_option
from vllmd.cli.options import chosen_engine, engine_argument, socket_option
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError


@click.command()
@engine_argument
@click.option("--no-wait", is_flag=True, help="Return at once.")
@click.option(
    "--keep-weights",
    is_flag=True,
    help="Leave its weights in GPU memory (preload): the next start maps them.",
)
@timeout_option(300.0)
@socket_option
def command(
    engine: str | None, no_wait: bool, keep_weights: bool, timeout: float, client: ControlClient
) -> None:
    """Stop an engine; returns when nothing of it is left.

    It stays stopped until `vllmd start`, or the next boot, also when the daemon starts again.
    Weights that `preload` keeps in GPU memory are given up too, unless they are to be kept.
    """
    name, goal = chosen_engine(client, engine), None if no_wait else "stopped"
    if not keep_weights:
        act(client, name, "stop", goal, timeout)
        return
    if client.engine(name).get("weights") is None:
        raise VllmdError(
            f"{name} has no weights to keep: it loads them itself; preload = true in its table "
            "keeps them from its next start on"
        )
    act(client, name, "stop", goal, timeout, weights="keep")
