"""Files that a test gives a reader of launchers, in place of the host's."""

import posixpath
from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class GivenFiles:
    """Has these files, by their absolute paths."""

    texts: Mapping[str, str]

    def read(self, path: str) -> str | None:
        """Return a file's text; None if it was not given."""
        return self.texts.get(path)

    def names(self, folder: str) -> Sequence[str]:
        """Return the sorted names in a folder."""
        return sorted(
            posixpath.basename(path) for path in self.texts if posixpath.dirname(path) == folder
        )

    def is_folder(self, path: str) -> bool:
        """Tell whether a file is below it."""
        return any(each.startswith(f"{path.rstrip('/')}/") for each in self.texts)
