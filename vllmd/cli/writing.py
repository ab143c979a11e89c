"""Files that a command writes for other programs: whole, or not at all."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from vllmd.cli import terminal
from vllmd.errors import VllmdError

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    help="The folder to write to; it is made if it is not there.",
)


def write_whole(path: Path, text: str, mode: int | None = None) -> None:
    """Write a file so that a reader, and a loss of power, find the old one or the new one.

    With a `mode` that is its mode, whatever the umask.

    Raises: OSError: it cannot be written; the old one is as it was.
    """
    fresh = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if mode is not None:
        fresh.chmod(mode)
    os.replace(fresh, path)


def write_all(folder: str, files: Mapping[str, str], *, as_json: bool) -> None:
    """Write files by their path below a folder, and say which.

    Raises: VllmdError: the folder or a file cannot be written.
    """
    written = []
    for name, text in files.items():
        path = Path(folder) / name
        try:
            write_whole(path, text)
        except OSError as error:
            raise VllmdError(
                f"cannot write {path}: {error.strerror}; give --output a folder that this user may "
                "write to"
            ) from None
        written.append(str(path))
    if as_json:
        terminal.echo_json(written, indent=2)
    else:
        for each in written:
            terminal.echo(f"wrote {each}")


def remove_earlier(folder: Path, places: Iterable[str], mark: str, written: Iterable[str]) -> bool:
    """Remove what an earlier version wrote elsewhere below a folder, and say so.

    `places` are patterns. A file goes if one of its first lines is `mark` and its path is none of
    those now `written`; a folder that is empty then, too.

    Returns: whether there was any.

    Raises: VllmdError: one cannot be removed, and what follows from that.
    """
    kept = {folder / name for name in written}
    found = {path for place in places for path in folder.glob(place)} - kept
    removed = False
    for path in sorted(path for path in found if path.is_file() and not path.is_symlink()):
        try:
            if mark not in path.read_text(errors="replace").splitlines()[:3]:
                continue
            path.unlink()
            if path.parent != folder and not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            raise VllmdError(
                f"cannot remove {path}, which an earlier version wrote: {error.strerror}; remove "
                "it, or its rules count twice"
            ) from None
        terminal.echo(f"removed {path}, which an earlier version wrote", err=True)
        removed = True
    return removed
