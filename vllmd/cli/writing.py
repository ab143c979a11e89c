"""Files that a command writes for other programs: whole, or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import click

from vllmd.errors import VllmdError

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    help="The folder to write to; it is made if it is not there.",
)


def write_all(folder: str, files: Mapping[str, str], *, as_json: bool) -> None:
    """Write files by their path below a folder, and say which.

    Raises: VllmdError: the folder or a file cannot be written.
    """
    written = []
    for name, text in files.items():
        path = Path(folder) / name
        fresh = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text)
            os.replace(fresh, path)
        except OSError as error:
            raise VllmdError(
                f"cannot write {path}: {error.strerror}; give --output a folder that this user may "
                "write to"
            ) from None
        written.append(str(path))
    if as_json:
        click.echo(json.dumps(written, indent=2))
    else:
        for each in written:
            click.echo(f"wrote {each}")
