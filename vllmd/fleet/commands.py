"""Runs vllmd on a host, by `fleet.command`: a list of words, and no shell on this side.

What is appended are words of our own and names of engines, which have no character that a shell on
the other side (of ssh) could take for something else.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Protocol

import attrs

from vllmd.config.fleet import HOST_WORD, FleetHost
from vllmd.errors import VllmdError
from vllmd.util.units import KIB

MAX_OUTPUT_BYTES = 64 * KIB
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*|--[a-z-]+")


class HostCommandError(VllmdError):
    """A command could not be run on a host, or ended with an error."""


@attrs.frozen
class CommandResult:
    """How a command ended, and the end of what it printed."""

    code: int
    output: str


class HostRunner(Protocol):
    """Runs a command of vllmd on a host: `run_on` with a command, or a double of it."""

    async def __call__(self, host: FleetHost, words: Sequence[str], limit_s: float, /) -> str:
        """Return what it printed. Raises: HostCommandError."""
        ...


def argv_for(command: Sequence[str], host: FleetHost, words: Sequence[str]) -> list[str]:
    """Return the command line for a host.

    Raises: VllmdError: a word could be something else to a shell on the other side.
    """
    for word in words:
        if not _WORD.fullmatch(word):
            raise VllmdError(f"{word!r} is no word that can be handed to another host")
    return [*(part.replace(HOST_WORD, host.name) for part in command), *words]


async def run_on(argv: Sequence[str], limit_s: float) -> CommandResult:
    """Run a program without an input, and return how it ended.

    Raises: HostCommandError: it cannot be run, or does not end in time; it is killed then.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise HostCommandError(f"{argv[0]} cannot be run: {error.strerror or error}") from None
    try:
        async with asyncio.timeout(limit_s):
            output = await _last(process)
            code = await process.wait()
    except TimeoutError:
        raise HostCommandError(f"{argv[0]} did not end within {limit_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return CommandResult(code, output.decode(errors="replace").strip())


async def _last(process: asyncio.subprocess.Process) -> bytes:
    """Return the end of what it prints, however much that is."""
    assert process.stdout is not None
    kept = bytearray()
    while block := await process.stdout.read(MAX_OUTPUT_BYTES):
        kept += block
        del kept[:-MAX_OUTPUT_BYTES]
    return bytes(kept)
