"""What a key does to an engine or a GPU: a command, which is shown, and run as it is shown."""

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from vllmd.cli.engine_table import Engine
from vllmd.config.command import python_path
from vllmd.util.units import GIB

OUTPUT_BYTES = 64_000


@attrs.frozen
class Action:
    """A command, and what a person is to know before it runs."""

    title: str
    args: tuple[str, ...]
    note: str = ""

    @property
    def shown(self) -> str:
        """The command, as it can be pasted."""
        return shlex.join(("vllmd", *self.args))


@attrs.frozen
class Done:
    """How a command ended, and what it printed."""

    code: int
    output: str


def on_engine(verb: str, engine: Engine, socket: Path) -> Action:
    """Return `start`, `stop` or `restart` of an engine, of the daemon behind that socket."""
    running, waiting = engine.get("requests_running"), engine.get("requests_waiting") or 0
    note = f"{engine['name']} is {engine['state']}"
    if running is not None:
        note += f"; {running} requests run there, {waiting} wait"
    if verb == "stop":
        note += ". It takes no new ones, and stays stopped until it is started, or the next boot"
    args = (verb, str(engine["name"]), "--socket", str(socket))
    return Action(f"{verb} {engine['name']}?", args, f"{note}.")


def reap(orphans: Sequence[tuple[str, int, int | None]], socket: Path) -> Action:
    """Return the end of the orphans that hold GPU memory: each GPU, process and bytes."""
    named = "; ".join(
        f"pid {pid} on GPU {gpu}" + (f", {size / GIB:.1f} GiB" if size else "")
        for gpu, pid, size in orphans
    )
    args = ("gpu", "reap", "--yes", "--socket", str(socket))
    return Action("kill the orphans?", args, f"{named}. Processes of others are never killed.")


async def run(action: Action) -> Done:
    """Run it as a process of its own: what is shown is what is done.

    With -P nothing is imported from the folder that root happens to be in.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-B", "-m", "vllmd", *action.args),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:  # the screen is left: it stops waiting, and is no more
            process.terminate()
    text = output[-OUTPUT_BYTES:].decode(errors="replace").strip()
    return Done(process.returncode or 0, text)
