"""Which commands of a script were followed, so that none is left out without a word. Pure."""

from collections.abc import Iterator

import attrs

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


@attrs.define
class FollowedCommands:
    """The commands that scripts have, and those that were come to."""

    _written: dict[tuple[str, Simple], None] = attrs.field(factory=dict)
    """By script: those outside of functions, and those that start vLLM."""
    _followed: set[tuple[str, Simple]] = attrs.field(factory=set)

    def read(self, script: Block, source: str) -> None:
        """Take in a script that is going to be followed."""
        for command, inside in _commands(script, in_function=False):
            if not inside or _serves(command):
                self._written[source, command] = None

    def come_to(self, command: Simple, source: str) -> None:
        """Note that a command is followed."""
        self._followed.add((source, command))

    def remarks(self) -> Iterator[str]:
        """Yield what is to be said of the commands that nobody came to."""
        rest: dict[str, set[int]] = {}
        for source, command in self._written:
            if (source, command) in self._followed:
                continue
            if _serves(command):
                yield f"{Place(source, command.line)}: {_SERVES}"
            else:
                rest.setdefault(source, set()).add(command.line)
        for source, lines in rest.items():
            yield f"{source}: {_REST.format(_listed(sorted(lines)))}"


def _serves(command: Simple) -> bool:
    return speaks_of_serving([word.text for word in command.words])


def _commands(node: Node, *, in_function: bool) -> Iterator[tuple[Simple, bool]]:
    """Yield all single commands, and whether they are in a function."""
    inside = in_function or isinstance(node, Function)
    match node:
        case Simple():
            yield node, inside
            return
        case Block() | AndOr() | Pipeline():
            parts: list[Node] = list(node.commands)
        case Group() | For() | CountingFor() | Function():
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
        yield from _commands(part, in_function=inside)


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
