"""What a script has worked out so far. Pure."""

import posixpath
from collections.abc import Mapping, Sequence

import attrs

from vllmd.importing.launch import Launch
from vllmd.importing.shell.followed import FollowedCommands
from vllmd.importing.shell.syntax import Node
from vllmd.importing.surroundings import Files, Notes, Surroundings, join
from vllmd.importing.unknown import Place, is_unknown, mark
from vllmd.util.units import MIB

MOST_TEXT, MOST_VALUES = 8 * MIB, 65536
"""Of a variable: more than any file that is read; one that is doubled in a loop has no end."""
Value = str | list[str] | dict[str, str]
"""A variable: a text, an array, or an array by names."""


def _copied(value: Value) -> Value:
    if isinstance(value, str):
        return value
    return list(value) if isinstance(value, list) else dict(value)


@attrs.frozen
class WrittenFiles:
    """The host's files, and over them those that a script writes; notes what is read of these."""

    files: Files
    written: Mapping[str, str]
    taken: set[str]

    def read(self, path: str) -> str | None:
        """Return a file's text; None if there is none that can be read."""
        if path in self.written:
            self.taken.add(path)
            return self.written[path]
        return self.files.read(path)

    def names(self, folder: str) -> Sequence[str]:
        """Return the sorted names in a folder."""
        own = {posixpath.basename(e) for e in self.written if posixpath.dirname(e) == folder}
        return sorted(own.union(self.files.names(folder)))

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder is there."""
        below = f"{path.rstrip('/')}/"
        return self.files.is_folder(path) or any(each.startswith(below) for each in self.written)


@attrs.define
class ShellState:
    """Variables, functions, the working directory, and what was found on the way."""

    surroundings: Surroundings
    notes: Notes
    path: str
    """What ``$0`` is."""
    source: str
    """What a place calls the script."""
    variables: dict[str, Value] = attrs.field(factory=dict)
    exported: set[str] = attrs.field(factory=set)
    functions: dict[str, Node] = attrs.field(factory=dict)
    arguments: list[str] | None = None
    """``$1`` and the following; None where it is not known with which it was called."""
    folder: str | None = None
    lines: list[str] | None = None
    """What is left of the text that a loop is given, for its `read`; None if none is known."""
    piped: str = ""
    """What the commands before it in a pipe print, for `tee`; empty if that is not known."""
    written: dict[str, str] = attrs.field(factory=dict)
    """The files that the script writes itself, by path."""
    read: set[str] = attrs.field(factory=set)
    """Those of them that something was made of."""
    prefix: str = ""
    """The folder of programs of the environment that was activated."""
    used: set[str] = attrs.field(factory=set)
    """Variables that its own words had."""
    launches: list[Launch] = attrs.field(factory=list)
    behind: set[int] = attrs.field(factory=set)
    """The launches that the script does not wait for, by their index."""
    hosts: set[str] = attrs.field(factory=set)
    """Other hosts that it starts vLLM on."""
    sessions: dict[str, "ShellState"] = attrs.field(factory=dict)
    """Shells of tmux that keys are sent to, one after the other."""
    unread: dict[str, list[int]] = attrs.field(factory=dict)
    """Commands that are not looked into, and their lines."""
    followed: FollowedCommands = attrs.field(factory=FollowedCommands)
    ended: bool = False
    """Nothing more of this is followed: of the script, a function or a file that is read in."""
    exits: bool = False
    """It is the whole script that has ended."""
    scopes: list[dict[str, tuple[Value | None, bool]]] = attrs.field(factory=list)
    """Of each function that is being followed its own variables: what they were outside."""
    leaves: tuple[str, int] | None = None
    """`break` or `continue`, and of how many loops."""
    doubt: tuple[str, int] | None = None
    """What may have left the loop before this command, and its line."""
    exports_all: bool = False
    integers: set[str] = attrs.field(factory=set)
    """Variables whose values are numbers, and are worked out when they are set."""
    depth: int = 0

    def place(self, line: int) -> Place:
        """Return where a line is."""
        return Place(self.source, line)

    def text_of(self, path: str) -> str | None:
        """Return what is in a file that can be read here, or was written by the script."""
        whole = self._whole(path)
        known = whole in self.written or whole.startswith("/")
        return self.inside().files.read(whole) if known else None

    def inside(self) -> Surroundings:
        """Return the surroundings as a command of the script finds them."""
        files = WrittenFiles(self.surroundings.files, self.written, self.read)
        folder = self.folder or self.surroundings.folder
        return attrs.evolve(self.surroundings, files=files, folder=folder)

    def is_there(self, path: str) -> bool:
        """Tell whether a file can be read here, or was written by the script."""
        whole = self._whole(path)
        if whole in self.written:
            return True
        return whole.startswith("/") and self.surroundings.files.read(whole) is not None

    def _whole(self, path: str) -> str:
        return join(self.folder or self.surroundings.folder or "", path)

    def copy(self) -> "ShellState":
        """Return a state that changes by itself; what is noted and found stays common."""
        return attrs.evolve(
            self,
            variables={n: _copied(v) for n, v in self.variables.items()},
            exported=set(self.exported),
            functions=dict(self.functions),
            arguments=None if self.arguments is None else list(self.arguments),
            written=dict(self.written),
            scopes=[dict(each) for each in self.scopes],
        )

    def take(self, other: "ShellState") -> None:
        """Go on as another state has it."""
        for name in ("variables", "exported", "functions", "arguments", "folder", "written"):
            setattr(self, name, getattr(other, name))
        self.scopes, self.exits = other.scopes, other.exits
        self.prefix, self.ended, self.exports_all = other.prefix, other.ended, other.exports_all
        self.leaves, self.doubt = other.leaves, other.doubt

    def assign(self, name: str, value: Value) -> None:
        """Set a variable. Raises: ValueError: it grows beyond all measure."""
        if len(value) > (MOST_TEXT if isinstance(value, str) else MOST_VALUES):
            raise ValueError(
                f"${name} grows beyond {MOST_TEXT // MIB} MiB, or {MOST_VALUES} values"
            )
        self.variables[name] = value
        if self.exports_all:
            self.exported.add(name)

    def make_local(self, name: str) -> None:
        """Let a variable be the function's own, if a function is being followed."""
        if self.scopes and name not in self.scopes[-1]:
            before = (self.variables.get(name), name in self.exported)
            self.scopes[-1][name] = before

    def leave_function(self) -> None:
        """Let the variables of a function be what they were outside of it."""
        for name, (value, exported) in self.scopes.pop().items():
            self.variables.pop(name, None)
            self.exported.discard(name)
            if value is not None:
                self.variables[name] = value
            if exported:
                self.exported.add(name)

    @property
    def separators(self) -> str:
        """The characters that part words: ``IFS``."""
        given = self.variables.get("IFS", " \t\n")
        return given if isinstance(given, str) and not is_unknown(given) else " \t\n"

    def environment(self) -> Mapping[str, str]:
        """Return what a command finds set."""
        found = ((name, self.variables.get(name)) for name in sorted(self.exported))
        return {name: value for name, value in found if isinstance(value, str)}

    def merge(self, others: Sequence["ShellState"], what: str, line: int) -> None:
        """Go on with what states agree on; what they do not is not known."""
        first, *rest = others
        names = dict.fromkeys(name for each in others for name in each.variables)
        reason = f"it depends on {what} in line {line}, which is not known here"
        self.take(first)
        for name in names:
            values = [each.variables.get(name) for each in others]
            if any(value != values[0] for value in values):
                unknown = mark(f"${name}", reason, self.place(line))
                self.variables[name] = [unknown] if isinstance(values[0], list) else unknown
        self.exported = set().union(*(each.exported for each in others))
        if any(each.folder != first.folder for each in rest):
            self.folder = mark("the working directory", reason, self.place(line))
        if any(each.prefix != first.prefix for each in rest):
            self.prefix = mark("the environment", reason, self.place(line))
