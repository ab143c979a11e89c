"""Write the shells' completions: ``python tools/completion.py FOLDER``; the package has them."""

import sys
from pathlib import Path

from vllmd.cli.completion import FILES, script


def scripts() -> dict[str, str]:
    """Return each shell's script, by the name of its file."""
    return {name: script(shell) for shell, name in FILES.items()}


def main(folder: Path) -> None:
    """Write them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
