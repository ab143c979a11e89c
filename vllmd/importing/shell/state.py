"""What a script has worked out so far. Pure."""

from collections.abc import Mapping, Sequence

import attrs

from vllmd.importing.launch import Launch
from vllmd.importing.shell.followed import FollowedCommands
from vllmd.importing.shell.syntax import Node
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unknown import Place, mark
from vllmd.util.units import MIB

MOST_TEXT, MOST_VALUES = 8 * MIB, 65536
"""Of a variable: more than any file that is read; one that is doubled in a loop has no end."""
Value = str | list[str] | dict[str, str]
"""A variable: a text, an array, or an array by names."""


def _copied(value: Value) -> Value:
    if isinstance(value, str):
        return value
    return list(value) if isinstance(value, list) else dict(value)


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
    written: dict[str, str] = attrs.field(factory=dict)
    """The files that the script writes itself, by path."""
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
    leaves: tuple[str, int] | None = None
    """`break` or `continue`, and of how many loops."""
    doubt: tuple[str, int] | None = None
    """What may have left the loop before this command, and its line."""
    exports_all: bool = False
    depth: int = 0

    def place(self, line: int) -> Place:
        """Return where a line is."""
        return Place(self.source, line)

    def text_of(self, path: str) -> str | None:
        """Return what is in a file that can be read here, or was written by the script."""
        whole = join(self.folder or self.surroundings.folder or "", path)
        if whole in self.written:
            return self.written[whole]
        return self.surroundings.files.read(whole) if whole.startswith("/") else None

    def is_there(self, path: str) -> bool:
        """Tell whether a file can be read here, or was written by the script."""
        whole = join(self.folder or self.surroundings.folder or "", path)
        if whole in self.written:
            return True
        return whole.startswith("/") and self.surroundings.files.read(whole) is not None

    def copy(self) -> "ShellState":
        """Return a state that changes by itself; what is noted and found stays common."""
        return attrs.evolve(
            self,
            variables={n: _copied(v) for n, v in self.variables.items()},
            exported=set(self.exported),
            functions=dict(self.functions),
            arguments=None if self.arguments is None else list(self.arguments),
            written=dict(self.written),
        )

    def take(self, other: "ShellState") -> None:
        """Go on as another state has it."""
        for name in ("variables", "exported", "functions", "arguments", "folder", "written"):
            setattr(self, name, getattr(other, name))
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
