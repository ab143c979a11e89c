"""What a reader may ask of the host, and what it notes on its way. Pure.

The readers open no file: they ask a `Files`, which the command line makes of the host's.
"""

import fnmatch
import posixpath
import re
from collections.abc import Sequence
from typing import Protocol

import attrs

from vllmd.importing.launch import Mount
from vllmd.importing.unknown import Place, mark
from vllmd.util.redact import without_shapes


class Files(Protocol):
    """The files of the host, by absolute paths."""

    def read(self, path: str) -> str | None:
        """Return a file's text; None if there is none that can be read."""

    def names(self, folder: str) -> Sequence[str]:
        """Return the sorted names in a folder; none if there is none."""

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder is there."""


class NoFiles:
    """A host on which nothing is known to be there."""

    def read(self, path: str) -> str | None:
        """Return that there is no such file."""
        return None

    def names(self, folder: str) -> Sequence[str]:
        """Return no names."""
        return ()

    def is_folder(self, path: str) -> bool:
        """Tell that there is none."""
        return False


@attrs.frozen
class Surroundings:
    """What a launcher is read in."""

    files: Files = attrs.field(factory=NoFiles)
    folder: str | None = None
    """Where it was run; None where that is not known."""
    home: str | None = None
    """The home of who ran it; None where that is not known."""
    mounts: Sequence[Mount] = ()
    """Folders of this host that somebody named for those of a container."""
    manager_home: str | None = None
    """The home of who runs the service manager, where it is known: what %h stands for."""

    def home_at(self, place: Place) -> str:
        """Return the home, or its mark."""
        reason = "the home of who ran it is not known here; give --home DIR"
        return self.home or mark("~", reason, place)

    def folder_of(self, path: str) -> str | None:
        """Return the folder of a file; of one whose path is not whole, where it was run."""
        return posixpath.dirname(path) if path.startswith("/") else self.folder

    def folder_at(self, written: str, place: Place) -> str:
        """Return the working directory, or its mark."""
        reason = "where it was run is not known here; give --directory DIR"
        return self.folder or mark(written, reason, place)


@attrs.frozen(order=True)
class Problem:
    """Something that keeps a launcher from being taken over."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@attrs.define
class Notes:
    """What was noted: problems, which end the import, and remarks, which name a difference."""

    problems: list[Problem] = attrs.field(factory=list)
    remarks: list[str] = attrs.field(factory=list)

    def refuse(self, place: Place, text: str) -> None:
        """Note what cannot be worked out, and what to do about it."""
        problem = Problem(place, without_shapes(text))
        if problem not in self.problems:
            self.problems.append(problem)

    def remark(self, text: str) -> None:
        """Note what is not taken over, and why."""
        shown = without_shapes(text)
        if shown not in self.remarks:
            self.remarks.append(shown)


def named_by(pattern: str, files: Files) -> list[str]:
    """Return the paths that a pattern names; one that is none names itself, there or not."""
    folder, name = posixpath.split(pattern)
    if not re.search(r"[*?[]", name):
        return [pattern]
    found = (each for each in files.names(folder) if fnmatch.fnmatchcase(each, name))
    return [posixpath.join(folder, each) for each in found]


def join(folder: str, path: str) -> str:
    """Return a path as seen from a folder, without its dots."""
    whole = posixpath.join(folder, path)
    return posixpath.normpath(whole) if whole.startswith("/") else whole
