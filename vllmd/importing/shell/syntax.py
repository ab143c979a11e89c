"""What a script is made of. Pure."""

from __future__ import annotations

import attrs


@attrs.frozen
class Word:
    """A word as it is written, with its quotes."""

    text: str
    line: int


@attrs.frozen
class Redirection:
    """Where a command's input comes from, or its output goes to."""

    operator: str
    """With the number of the descriptor, if one is given."""
    target: Word
    body: str = ""
    """Of a here-document."""
    literal: bool = False


@attrs.frozen
class Simple:
    """Assignments, and a command with its words."""

    assignments: tuple[Word, ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]
    line: int


@attrs.frozen
class Pipeline:
    """Commands whose output is the next one's input."""

    commands: tuple[Node, ...]
    negated: bool
    line: int


@attrs.frozen
class AndOr:
    """Commands joined by ``&&`` and ``||``; `operators` has one fewer."""

    commands: tuple[Node, ...]
    operators: tuple[str, ...]
    line: int


@attrs.frozen
class Block:
    """Commands one after the other; those in `background` are not waited for."""

    commands: tuple[Node, ...]
    background: frozenset[int]
    """By index."""
    line: int


@attrs.frozen
class Group:
    """``{ …; }``, or ``( … )`` in a shell of its own."""

    body: Block
    subshell: bool
    redirections: tuple[Redirection, ...]
    line: int


@attrs.frozen
class If:
    """Conditions with what is done; the last may have no condition."""

    branches: tuple[tuple[Block | None, Block], ...]
    line: int


@attrs.frozen
class CaseClause:
    """A word, and what is done for which patterns."""

    word: Word
    branches: tuple[tuple[tuple[Word, ...], Block], ...]
    line: int


@attrs.frozen
class For:
    """A loop over words; None: over the arguments."""

    name: str
    words: tuple[Word, ...] | None
    body: Block
    line: int


@attrs.frozen
class CountingFor:
    """``for ((…; …; …))``."""

    first: str
    condition: str
    step: str
    body: Block
    line: int


@attrs.frozen
class While:
    """A loop as long as a condition holds, or until it does."""

    condition: Block
    until: bool
    body: Block
    line: int
    redirections: tuple[Redirection, ...] = ()


@attrs.frozen
class Condition:
    """``[[ … ]]``, its words and operators."""

    words: tuple[Word, ...]
    line: int


@attrs.frozen
class Arithmetic:
    """``(( … ))``."""

    text: str
    line: int


@attrs.frozen
class Function:
    """A function that is defined."""

    name: str
    body: Node
    line: int


Compound = Group | If | CaseClause | For | CountingFor | While | Condition | Arithmetic
Node = Simple | Pipeline | AndOr | Block | Function | Compound
