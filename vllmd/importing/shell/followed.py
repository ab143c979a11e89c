"""Which commands of a script were followed, so that none is left out without a word. Pure."""

from collections.abc import Iterator

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.known_commands import CONTAINER_ENGINES, HARMLESS, ONLY_SPEAK
from vllmd.importing.serving import speaks_of_serving
from vllmd.importing.shell.syntax import (
    AndOr,
    Block,
    CaseClause,
    CountingFor,
    For,
    Function,
    Group,
    If,
    Node,
    Pipeline,
    Simple,
    While,
)
from vllmd.importing.unknown import Place

_SERVES = (
    "it starts vLLM and is not taken over: what it depends on is not so here, it is in a function "
    "that nobody calls, or the script has ended before it"
)
_REST = "not followed, as what they depend on is not so here, or the script has ended: {}"

MOST = 50_000
"""Commands that are followed, each time that they run: a second of work. Loops in loops, and
functions that call each other, have no end otherwise."""


@attrs.define
class FollowedCommands:
    """The commands that scripts have, and those that were come to."""

    _written: dict[tuple[str, Simple], list[Node | None]] = attrs.field(factory=dict)
    """By script, each with the functions that it is in, one of each time that it was read."""
    _followed: set[tuple[str, Simple]] = attrs.field(factory=set)
    _called: list[Node] = attrs.field(factory=list)
    _count: int = 0

    def read(self, script: Block, source: str) -> None:
        """Take in a script that is going to be followed."""
        for command, function in _commands(script, None):
            self._written.setdefault((source, command), []).append(function)

    def step(self, place: Place) -> None:
        """Count a command that runs. Raises: VllmdError: they are too many."""
        self._count += 1
        if self._count > MOST:
            raise VllmdError(
                f"{place}: it has run {MOST:,} commands by then, by loops in loops or functions "
                "that call each other, and is followed no further: give the command that it runs "
                "alone, 'vllm serve MODEL …'"
            )

    def come_to(self, command: Simple, source: str) -> None:
        """Note that a command is followed."""
        self._followed.add((source, command))

    def call(self, function: Node) -> None:
        """Note that a function is called, by what it does."""
        if not self._is_called(function):
            self._called.append(function)

    def remarks(self) -> Iterator[str]:
        """Yield what is to be said of the commands that nobody came to."""
        rest: dict[str, set[int]] = {}
        for (source, command), functions in self._written.items():
            if (source, command) in self._followed:
                continue
            if _serves(command):
                yield f"{Place(source, command.line)}: {_SERVES}"
            elif any(each is None or self._is_called(each) for each in functions):
                rest.setdefault(source, set()).add(command.line)
        for source, lines in rest.items():
            yield f"{source}: {_REST.format(_listed(sorted(lines)))}"

    def _is_called(self, function: Node) -> bool:
        return any(each is function for each in self._called)


def _serves(command: Simple) -> bool:
    """Tell whether it would start a server, and does not only speak of one."""
    words = [word.text.strip("\"'") for word in command.words]
    name = words[0].rsplit("/", 1)[-1] if words else ""
    if name in CONTAINER_ENGINES:
        return bool({"run", "up"} & set(words[1:4])) and speaks_of_serving(words)
    return name not in ONLY_SPEAK and name not in HARMLESS and speaks_of_serving(words)


def _commands(node: Node, function: Node | None) -> Iterator[tuple[Simple, Node | None]]:
    """Yield all single commands, and what the function does that they are in."""
    match node:
        case Simple():
            yield node, function
            return
        case Function():
            function = node.body
            parts: list[Node] = [node.body]
        case Block() | AndOr() | Pipeline():
            parts = list(node.commands)
        case Group() | For() | CountingFor():
            parts = [node.body]
        case While():
            parts = [node.condition, node.body]
        case If():
            parts = [part for branch in node.branches for part in branch if part is not None]
        case CaseClause():
            parts = [body for _, body in node.branches]
        case _:
            parts = []
    for part in parts:
        yield from _commands(part, function)


def _listed(lines: list[int]) -> str:
    """Return lines as people write them: ``line 3``, ``lines 3, 5 to 7``."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return f"line{'s' * (len(lines) > 1)} {', '.join(texts)}"
