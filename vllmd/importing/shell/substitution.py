"""``$(…)`` of what only handles texts: nothing is run. Pure."""

import posixpath
import re
from collections.abc import Callable, Sequence

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.serving import speaks_of_serving
from vllmd.importing.shell.arithmetic import ArithmeticEvaluator, ArithmeticUnknownError
from vllmd.importing.shell.commands import BUILTINS, PRINTS, printed
from vllmd.importing.shell.expansion import Expansion
from vllmd.importing.shell.parser import parse
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.syntax import AndOr, Group, Node, Pipeline, Simple
from vllmd.importing.shell.text_tools import filtered
from vllmd.importing.surroundings import join
from vllmd.importing.unknown import is_unknown, mark

_REASON = "what a command prints is not known here: nothing is run; write the value"
_MAX_NUMBERS = 4096
_MAX_DEPTH = 16


def substitute(state: ShellState, text: str, line: int) -> str:
    """Return what a command prints, or a mark."""
    unknown = mark(f"$({text.strip()})", _REASON, state.place(line))
    if _serves(text):
        state.notes.refuse(
            state.place(line), "a command that serves stands within $(…): write it alone"
        )
    try:
        commands = parse(text, state.place(line)).commands
    except VllmdError:
        return unknown
    result = _all(state.copy(), commands)
    return unknown if result is None else result.rstrip("\n")


def _serves(text: str) -> bool:
    """Tell whether a text starts a server, and does not only look for one."""
    words = text.split()
    looks = words[:1] and words[0] in ("pgrep", "ps", "grep", "command", "which", "echo")
    return not looks and speaks_of_serving([text])


def output_of(state: ShellState, commands: Sequence[Node]) -> str | None:
    """Return what the commands of a pipe print; None if that is not known."""
    first, *others = commands
    text = _of_file(state, first) or _printed(state.copy(), first)
    return _through(state, text, others)


def _through(state: ShellState, text: str | None, commands: Sequence[Node]) -> str | None:
    """Return what commands make of a text, each of what the one before it prints."""
    for each in commands:
        text = None if text is None else _piped(state, each, text)
    return text


def _of_file(state: ShellState, node: Node) -> str | None:
    """Return what `cat` or `grep` make of the one file that they are given, if it can be read."""
    if not isinstance(node, Simple) or node.redirections or node.assignments:
        return None
    expansion = Expansion(state, node.line, substitute)
    words = expansion.all_words(node.words)
    if len(words) < 2 or words[0] not in ("cat", "grep") or any(map(is_unknown, words)):
        return None
    text = state.text_of(words[-1])
    return None if text is None else filtered(words[:-1], text)


def given_by(state: ShellState, word: str, line: int) -> str | None:
    """Return what ``<(…)`` gives; None if that is not known."""
    commands = parse(word[2:-1], state.place(line)).commands
    if len(commands) != 1:
        return None if commands else ""
    nodes = commands[0].commands if isinstance(commands[0], Pipeline) else commands
    return output_of(state, nodes)


def _all(state: ShellState, commands: Sequence[Node]) -> str | None:
    """Return what commands print, one after the other, of those that are only texts."""
    made = ""
    for node in commands:
        if isinstance(node, Simple) and not node.redirections and _sets(state, node):
            continue
        text = _printed(state, node)
        if text is None:
            return None
        made += text
    return made


def _sets(state: ShellState, node: Simple) -> bool:
    """Set the variables of a command that does nothing else; False if it is another."""
    local = node.words[:1] and node.words[0].text == "local"
    given = node.words[1:] if local else node.assignments
    if (node.words and not local) or not given:
        return False
    for each in given:
        name, equals, raw = each.text.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name) or raw.startswith("("):
            return False
        state.assign(name, Expansion(state, each.line, substitute).text(raw))
    return True


def _of_function(state: ShellState, words: Sequence[str]) -> str | None:
    """Return what a function prints that only handles texts."""
    body = state.functions[words[0]]
    if not isinstance(body, Group) or state.depth >= _MAX_DEPTH:
        return None
    inner = state.copy()
    inner.arguments, inner.depth = list(words[1:]), state.depth + 1
    return _all(inner, body.body.commands)


def _printed(state: ShellState, node: Node) -> str | None:
    if isinstance(node, Pipeline) and not node.negated:
        first, *others = node.commands
        return _through(state, _printed(state, first), others)
    if isinstance(node, AndOr) and set(node.operators) == {"&&"}:
        *before, last = node.commands
        for each in before:
            if _printed(state, each) != "":
                return None
        return _printed(state, last)
    if not isinstance(node, Simple) or node.assignments:
        return None
    return _of_command(state, node)


def _of_command(state: ShellState, node: Simple) -> str | None:
    expansion = Expansion(state, node.line, substitute)
    if not node.words and len(node.redirections) == 1 and node.redirections[0].operator == "<":
        return _file(state, expansion.text(node.redirections[0].target.text))
    here = [each for each in node.redirections if each.operator == "<<<"]
    if len(here) == 1 == len(node.redirections):
        text = expansion.text(here[0].target.text)
        return _piped(state, attrs.evolve(node, redirections=()), f"{text}\n")
    quiet = all(each.operator in ("2>", ">", "&>", ">&", "2>&") for each in node.redirections)
    words = expansion.all_words(node.words)
    if not words or not quiet:
        return None
    name, rest = words[0], words[1:]
    if name in state.functions:
        return _of_function(state, words)
    if name == "cd":
        silent = BUILTINS["cd"](state, rest, node.line)
        return "" if silent else None
    if name == "cat" and len(rest) == 1:
        return _file(state, rest[0])
    if name in PRINTS - {"cat", "tee"}:
        return printed(name, rest, "")
    handler = _TEXTS.get(name)
    return None if handler is None else handler(state, [w for w in rest if w != "--"])


def _piped(state: ShellState, node: Node, text: str) -> str | None:
    """Return what a command makes of what it is given by a pipe."""
    if not isinstance(node, Simple) or node.assignments:
        return None
    if any(each.operator != "2>" for each in node.redirections):
        return None
    expansion = Expansion(state, node.line, substitute)
    words = expansion.all_words(node.words)
    if not words or any(map(is_unknown, [text, *words])):
        return None
    return filtered(words, text)


def _file(state: ShellState, path: str) -> str | None:
    """Return what is in a file that the script itself wrote, or that can be read here."""
    if is_unknown(path):
        return None
    whole = join(state.folder or "", path)
    if whole in state.written:
        return state.written[whole]
    text = state.text_of(path)
    if text is not None:
        state.notes.remark(f"{path} is read now, and what it has is written out")
    return text


def _pwd(state: ShellState, _words: Sequence[str]) -> str | None:
    return state.folder or state.surroundings.folder


def _dirname(_state: ShellState, words: Sequence[str]) -> str | None:
    if len(words) != 1 or is_unknown(words[0]):
        return None
    return posixpath.dirname(words[0].rstrip("/")) or "."


def _basename(_state: ShellState, words: Sequence[str]) -> str | None:
    if not words or is_unknown(words[0]):
        return None
    name = posixpath.basename(words[0].rstrip("/"))
    return name.removesuffix(words[1]) if len(words) > 1 else name


def _realpath(state: ShellState, words: Sequence[str]) -> str | None:
    paths = [word for word in words if not re.fullmatch(r"-[a-z]+", word)]
    if len(paths) != 1 or is_unknown(paths[0]):
        return None
    folder = state.folder or state.surroundings.folder
    whole = join(folder or "", paths[0])
    return whole if whole.startswith("/") else None


def _seq(_state: ShellState, words: Sequence[str]) -> str | None:
    separator = "\n"
    if words[:1] and (found := re.fullmatch(r"(?:-s|--separator=)(.*)", words[0], re.DOTALL)):
        given = [found[1], *words[1:]] if found[1] else list(words[1:])
        separator, words = (given or [""])[0], given[1:]
    if not words or not all(re.fullmatch(r"-?\d+", word) for word in words):
        return None
    numbers = [int(word) for word in words]
    match numbers:
        case [last]:
            made = range(1, last + 1)
        case [first, last]:
            made = range(first, last + 1)
        case [first, step, last] if step:
            made = range(first, last + (1 if step > 0 else -1), step)
        case _:
            return None
    return separator.join(map(str, made)) if len(made) <= _MAX_NUMBERS else None


def _expr(_state: ShellState, words: Sequence[str]) -> str | None:
    """Work out whole numbers; `expr` handles texts too, which is not read."""
    if not all(re.fullmatch(r"-?\d+|[-+*/%()]", word) for word in words):
        return None
    try:
        return str(ArithmeticEvaluator(" ".join(words), str, lambda *_: None).value())
    except ArithmeticUnknownError:
        return None


_TEXTS: dict[str, Callable[[ShellState, Sequence[str]], str | None]] = {
    "expr": _expr,
    "pwd": _pwd,
    "dirname": _dirname,
    "basename": _basename,
    "realpath": _realpath,
    "readlink": _realpath,
    "seq": _seq,
}
