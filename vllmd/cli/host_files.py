"""The host's files, as the readers of launchers ask for them."""

from collections.abc import Sequence
from pathlib import Path

from vllmd.shim.files import read_regular

MAX_BYTES = 4 << 20
"""Of one launcher: what is larger is none."""


class HostFiles:
    """Reads files of this host; what cannot be read is as if it were not there."""

    def read(self, path: str) -> str | None:
        """Return a file's text; None if there is none that can be read."""
        try:
            return read_regular(Path(path), MAX_BYTES).decode()
        except (OSError, ValueError):
            return None

    def names(self, folder: str) -> Sequence[str]:
        """Return the sorted names in a folder; none if there is none."""
        try:
            return sorted(each.name for each in Path(folder).iterdir())
        except (OSError, ValueError):
            return ()

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder is there."""
        try:
            return Path(path).is_dir()
        except (OSError, ValueError):
            return False
