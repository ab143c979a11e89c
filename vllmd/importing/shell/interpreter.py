"""A script followed, command by command, to the servers that it starts. Pure."""

from collections.abc import Callable, Iterator, Sequence

from vllmd.importing.launch import Launch
from vllmd.importing.leftovers import refuse_unknowns
from vllmd.importing.shell.conditions import holds, negate
from vllmd.importing.shell.expansion import Expansion
from vllmd.importing.shell.patterns import matches
from vllmd.importing.shell.reading import given_text, text_before
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.substitution import output_of, substitute
from vllmd.importing.shell.syntax import (
    AndOr,
    Arithmetic,
    Block,
    CaseClause,
    Condition,
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
from vllmd.importing.unknown import as_written, is_unknown, unknowns

MAX_TURNS = 256
"""Of one loop: so many engines are on no host."""
MAX_DEPTH = 16
"""Of functions and scripts that call each other."""
_DEPENDS = (
    "whether it runs depends on {} in line {}, which is not known here: give the command that is "
    "run alone"
)
RunSimple = Callable[["Interpreter", Simple, ShellState], bool | None]


class Interpreter:
    """Follows the commands of a script; `simple` does what a single command does."""

    def __init__(self, simple: RunSimple) -> None:
        self._simple = simple

    def run(self, node: Node, state: ShellState) -> bool | None:
        """Follow a command; returns whether it succeeds, if that is known."""
        if state.ended or state.leaves:
            return None
        state.followed.step(state.place(node.line))
        doubt, before = state.doubt, len(state.launches)
        result = self._one(node, state)
        if doubt and len(state.launches) > before:
            state.notes.refuse(state.launches[before].place, _DEPENDS.format(*doubt))
        return result

    def _one(self, node: Node, state: ShellState) -> bool | None:
        match node:
            case Simple():
                return self._simple(self, node, state)
            case Block():
                return self._block(node, state)
            case AndOr():
                return self._and_or(node, state)
            case Pipeline():
                return self._pipeline(node, state)
            case Group():
                return self._group(node, state)
            case If():
                return self._if(node, state)
            case CaseClause():
                return self._case(node, state)
            case For() | CountingFor() | While():
                return self._loop(node, state)
            case Function():
                state.functions[node.name] = node.body
                return True
            case Condition():
                words = list(_test_words(node, state))
                return holds(words, patterns=True, is_there=state.is_there)
            case Arithmetic():
                value = Expansion(state, node.line, substitute).number(node.text)
                return None if is_unknown(value) else value != "0"

    def call(self, body: Node, arguments: Sequence[str], state: ShellState) -> bool | None:
        """Follow a function with its arguments."""
        state.followed.call(body)
        if state.depth >= MAX_DEPTH:
            state.notes.refuse(
                state.place(body.line), f"functions call each other {MAX_DEPTH} deep: unroll them"
            )
            return None
        before, state.arguments = state.arguments, list(arguments)
        state.depth += 1
        state.scopes.append({})
        result = self.run(body, state)
        state.leave_function()
        state.depth -= 1
        state.arguments = before
        state.ended = state.exits
        return result

    def _block(self, node: Block, state: ShellState) -> bool | None:
        result: bool | None = True
        last = -1
        for index, command in enumerate(node.commands):
            if state.ended or state.leaves:
                break
            before = len(state.launches)
            if index in node.background:
                inner = state.copy()
                self.run(command, inner)
                result = True
            else:
                result = self.run(command, state)
            if len(state.launches) > before:
                if index in node.background:
                    state.behind.update(range(before, len(state.launches)))
                if last >= 0 and last not in state.behind:
                    state.notes.remark(
                        f"{state.launches[before].place}: it began when the one before it had "
                        "ended; here both run at once"
                    )
                last = len(state.launches) - 1
                if index in node.background:
                    state.notes.remark("nohup and &: vllmd keeps the engine running by itself")
        return result

    def _and_or(self, node: AndOr, state: ShellState) -> bool | None:
        result = self.run(node.commands[0], state)
        served = len(state.launches)
        for operator, command in zip(node.operators, node.commands[1:], strict=True):
            wanted = operator == "&&"
            if result is (not wanted):
                continue
            if result is None and _asks(node.commands[0]):
                self._unsure(command, state, f"'{operator}'", node.line)
                result = None
                continue
            if result is None and operator == "||":
                inner = state.copy()
                before = len(state.launches)
                self.run(command, inner)
                if served and len(state.launches) > before and not _is_again(state, before):
                    state.notes.refuse(
                        state.place(node.line),
                        "a second command serves if the first one fails ('||'): keep one of them",
                    )
                if inner.leaves:
                    self._join([state.copy(), inner], state, "'||'", node.line)
                continue
            if result is None:  # it may not be run at all: what ends the script is then in doubt
                inner = state.copy()
                result = self.run(command, inner)
                if inner.ended or inner.leaves:
                    self._join([inner, state.copy()], state, f"'{operator}'", node.line)
                    result = None
                else:
                    state.take(inner)
                continue
            result = self.run(command, state)
        return result

    def _pipeline(self, node: Pipeline, state: ShellState) -> bool | None:
        if len(node.commands) == 1:
            return negate(self.run(node.commands[0], state))
        before = len(state.launches)
        for index, command in enumerate(node.commands):
            inner = state.copy()
            if index and isinstance(command, While):
                text = output_of(state, node.commands[:index])
                inner.lines = None if text is None else text.splitlines()
            if index and isinstance(command, Simple) and "tee" in [w.text for w in command.words]:
                inner.piped = text_before(state, node.commands[:index])
            self.run(command, inner)
            state.written = inner.written
        if len(state.launches) > before:
            state.notes.remark("the pipe after it: vllmd writes and rotates a log of its own")
        return None

    def _group(self, node: Group, state: ShellState) -> bool | None:
        inner = state.copy() if node.subshell else state
        result = self.run(node.body, inner)
        state.written = inner.written  # on the disk, whichever shell wrote it
        return result

    def _if(self, node: If, state: ShellState) -> bool | None:
        ways: list[tuple[Block | None, ShellState]] = []
        here = state.copy()
        sure = True
        for condition, body in node.branches:
            before = len(here.launches)
            result = True if condition is None else self.run(condition, here)
            if len(here.launches) > before:
                here.notes.refuse(here.place(node.line), _SERVES_IN_CONDITION)
            if result is False:
                continue
            if result is True:
                ways.append((body, here))
                break
            sure = False
            ways.append((body, here.copy()))
        else:
            ways.append((None, here))
        if sure and len(ways) == 1:
            state.take(ways[0][1])
            return self.run(ways[0][0], state) if ways[0][0] else True
        self._ways(ways, state, "the 'if'", node.line)
        return None

    def _case(self, node: CaseClause, state: ShellState) -> bool | None:
        expansion = Expansion(state, node.line, substitute)
        subject = expansion.text(node.word.text)
        bodies: list[Block | None] = []
        for patterns, body in node.branches:
            if is_unknown(subject):
                bodies.append(body)
            elif any(matches(subject, expansion.text(p.text)) for p in patterns):
                return self.run(body, state)
        if not is_unknown(subject):
            return True
        ways = [(body, state.copy()) for body in [*bodies, None]]
        self._ways(ways, state, f"the 'case' of {as_written(subject)}", node.line)
        return None

    def _ways(
        self,
        ways: Sequence[tuple[Block | None, ShellState]],
        state: ShellState,
        what: str,
        line: int,
    ) -> None:
        """Follow each way that may be taken; none of them may serve, and they are merged."""
        for body, inner in ways:
            before = len(state.launches)
            if body is not None:
                self.run(body, inner)
            if len(state.launches) > before and not _is_again(state, before):
                state.notes.refuse(state.launches[before].place, _DEPENDS.format(what, line))
        self._join([inner for _, inner in ways], state, what, line)

    @staticmethod
    def _join(ways: Sequence[ShellState], state: ShellState, what: str, line: int) -> None:
        """Go on with what all ways agree on; what leaves the loop on some of them is in doubt."""
        goes_on = [each for each in ways if not each.ended]
        if not goes_on:
            state.ended = True
            state.exits = all(each.exits for each in ways)
            return
        leaving = [each.leaves for each in goes_on]
        state.merge(goes_on, what, line)
        if any(leaving) and len(set(leaving)) > 1:
            state.leaves, state.doubt = None, (what, line)

    def _unsure(self, command: Node, state: ShellState, what: str, line: int) -> None:
        """Follow a command that may not be run."""
        inner = state.copy()
        self._ways(
            [(Block((command,), frozenset(), line), inner), (None, state.copy())], state, what, line
        )

    def _loop(self, node: For | CountingFor | While, state: ShellState) -> bool | None:
        match node:
            case For():
                turns: Iterator[bool | None] = _words_of(node, state)
            case CountingFor():
                turns = _numbers_of(node, state)
            case While():
                turns = self._while(node, state)
        lines = state.lines
        if isinstance(node, While) and node.redirections:
            text = given_text(node.redirections, state)
            state.lines = None if text is None else text.splitlines()
        before, doubt = len(state.launches), state.doubt
        for count, sure in enumerate(turns, 1):
            if count > MAX_TURNS:
                state.notes.refuse(state.place(node.line), f"a loop of more than {MAX_TURNS} turns")
                break
            if sure:
                self.run(node.body, state)
            else:
                self._unsure(node.body, state, "the loop", node.line)
                break
            kind, of = state.leaves or ("", 0)
            state.leaves = (kind, of - 1) if of > 1 else None
            if state.ended or state.leaves or kind == "break":
                break
        state.doubt, state.lines = doubt, lines
        served = len(state.launches) - before
        if served > 1:
            state.notes.remark(
                f"{state.place(node.line)}: the loop is written out: {served} engines"
            )
        return True

    def _while(self, node: While, state: ShellState) -> Iterator[bool | None]:
        while True:
            before = len(state.launches)
            result = self.run(node.condition, state)
            if len(state.launches) > before:
                state.notes.remark(_RESTARTS)
                return
            result = negate(result) if node.until else result
            if result is None:
                if _is_endless(node):
                    yield True
                else:
                    yield None
                return
            if result is False:
                return
            yield True
            if _is_endless(node):
                if len(state.launches) > before:
                    state.notes.remark(_RESTARTS)
                return


_RESTARTS = "the loop around it: vllmd restarts with growing pauses"
_SERVES_IN_CONDITION = "a command that serves is the condition of an 'if': write it alone"


def _is_again(state: ShellState, before: int) -> bool:
    """Tell whether launches are those that are there already, and leave them out then."""
    known = [_what(each) for each in state.launches[:before]]
    if any(_what(each) not in known for each in state.launches[before:]):
        return False
    del state.launches[before:]
    state.notes.remark(_RESTARTS)
    return True


def _what(launch: Launch) -> tuple[object, ...]:
    return launch.program, launch.arguments, dict(launch.variables), launch.folder, launch.container


def _is_endless(node: While) -> bool:
    """Tell whether the condition never changes."""
    words = [
        [word.text for word in each.words]
        for each in node.condition.commands
        if isinstance(each, Simple)
    ]
    return words in ([["true"]], [[":"]], [["[", "1", "]"]], [["false"]])


def _asks(node: Node) -> bool:
    """Tell whether a command is there to ask for something."""
    if isinstance(node, Pipeline) and len(node.commands) == 1:
        return _asks(node.commands[0])
    if isinstance(node, Group):
        return len(node.body.commands) == 1 and _asks(node.body.commands[0])
    if isinstance(node, AndOr):
        return _asks(node.commands[0])
    asking = ("[", "test", "command", "which", "grep", "pgrep", "type", "curl", "nc", "hash")
    simple = isinstance(node, Simple) and bool(node.words) and node.words[0].text in asking
    return simple or isinstance(node, Condition | Arithmetic)


def _test_words(node: Condition, state: ShellState) -> Iterator[str]:
    expansion = Expansion(state, node.line, substitute)
    for word in node.words:
        yield word.text if word.text in ("&&", "||", "(", ")", "!") else expansion.text(word.text)


def _words_of(node: For, state: ShellState) -> Iterator[bool | None]:
    expansion = Expansion(state, node.line, substitute)
    values = list(state.arguments or []) if node.words is None else expansion.all_words(node.words)
    for value in values:
        before = len(state.launches)
        state.assign(node.name, value)
        yield not (is_unknown(value) and any("$(" in each.written for each in unknowns([value])))
        if len(state.launches) > before:  # of a value that is not known it is not even how many
            refuse_unknowns([value], state.place(node.line), state.notes)


def _numbers_of(node: CountingFor, state: ShellState) -> Iterator[bool | None]:
    expansion = Expansion(state, node.line, substitute)
    if is_unknown(expansion.number(node.first)):
        yield None
        return
    while True:
        value = expansion.number(node.condition) if node.condition.strip() else "1"
        if is_unknown(value):
            yield None
            return
        if value == "0":
            return
        yield True
        if is_unknown(expansion.number(node.step)):
            yield None
            return
