"""Write the shells' completions: ``python tools/completion.py FOLDER``; the package has them."""

import sys
from pathlib import Path

from click.shell_completion import get_completion_class

from vllmd.cli.main import cli

FILES = {"bash": "vllmd", "zsh": "_vllmd", "fish": "vllmd.fish"}
"""The name of the file, as each shell looks for it."""


def scripts() -> dict[str, str]:
    """Return each shell's script, by the name of its file."""
    made = {}
    for shell, name in FILES.items():
        kind = get_completion_class(shell)
        assert kind is not None
        made[name] = kind(cli, {}, "vllmd", "_VLLMD_COMPLETE").source()
    return made


def main(folder: Path) -> None:
    """Write them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
