"""`vllmd logs`: what an engine printed."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from vllmd.cli.options import config_option, engine_argument, socket_option
from vllmd.config import load as config_load
from vllmd.config import paths
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError, NotPermittedError, UnknownEngineError, VllmdError

FOLLOW_POLL_S = 0.25
BLOCK_BYTES = 64 * 1024


@click.command()
@engine_argument
@config_option
@socket_option
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="Last lines."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
def command(
    engine: str, lines: int, follow: bool, client: ControlClient, config_path: Path
) -> None:
    """Show what an engine printed; works without a daemon too."""
    path = _find(engine, client, config_path)
    out = sys.stdout.buffer
    try:
        with path.open("rb") as file:
            out.write(last_lines(file.fileno(), lines))
            out.flush()
            position = file.seek(0, os.SEEK_END)
        if follow:
            for block in follow_file(path, position):
                out.write(block)
                out.flush()
    except FileNotFoundError:
        raise VllmdError(f"{engine} has printed nothing yet: there is no {path}") from None
    except PermissionError:
        raise NotPermittedError(
            f"no right to read {path}: be root, or join the group vllmd"
        ) from None


def _find(engine: str, client: ControlClient, config_path: Path) -> Path:
    """Ask the daemon for the file; without one, the configuration says where it is."""
    try:
        return Path(client.engine(engine)["log"])
    except DaemonUnreachableError as unreachable:
        if not config_path.exists():
            raise unreachable from None
    config, _ = config_load.load(config_path)
    if engine not in config.engines:
        known = ", ".join(config.engines) or "none"
        raise UnknownEngineError(f"no engine {engine!r} is configured; there is: {known}")
    return paths.engine_log(paths.log_dir(config), engine)


def last_lines(fd: int, count: int) -> bytes:
    """Return the last `count` lines of a file, read from its end."""
    end = position = os.lseek(fd, 0, os.SEEK_END)
    data = b""
    while position > 0 and data.count(b"\n") <= count:
        size = min(BLOCK_BYTES, position)
        position -= size
        data = os.pread(fd, size, position) + data
    os.lseek(fd, end, os.SEEK_SET)
    return b"".join(data.splitlines(keepends=True)[-count:]) if count else b""


def follow_file(path: Path, position: int) -> Iterator[bytes]:
    """Yield what is appended, for ever; a new file of that name is read from its start."""
    file = path.open("rb")
    file.seek(position)
    while True:
        block = file.read(BLOCK_BYTES)
        if block:
            yield block
            continue
        if path.exists() and path.stat().st_ino != os.fstat(file.fileno()).st_ino:
            file.close()
            file = path.open("rb")
            continue
        time.sleep(FOLLOW_POLL_S)
