"""Variables that a script sets: assignments, arrays, ``export`` and its like. Pure."""

import re
from collections.abc import Sequence

from vllmd.importing.shell.expansion import Expansion
from vllmd.importing.shell.parser import ASSIGNMENT, parse
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.substitution import substitute
from vllmd.importing.shell.syntax import Simple, Word
from vllmd.importing.unit import variables_in


def assigned(word: Word, state: ShellState) -> tuple[str, str]:
    """Return the name and the value that a word gives a command."""
    name, _, raw = word.text.partition("=")
    return name.rstrip("+"), Expansion(state, word.line, substitute).text(raw)


def assign(word: Word, state: ShellState) -> None:
    """Set a variable, an array, or one value of it."""
    found = ASSIGNMENT.match(word.text)
    assert found is not None
    target, raw = found[0][:-1], word.text[found.end() :]
    adds, target = target.endswith("+"), target.rstrip("+")
    name, bracket, index = target.partition("[")
    expansion = Expansion(state, word.line, substitute)
    old = state.variables.get(name)
    if raw.startswith("(") and raw.endswith(")"):
        state.assign(name, _array(raw[1:-1], old if adds else None, state, word.line))
        return
    value = expansion.text(raw)
    if bracket:
        key = expansion.text(index.rstrip("]"))
        table = dict(old) if isinstance(old, dict) else None
        if isinstance(old, list) and key.isdigit() and int(key) <= len(old):
            state.assign(name, [*old[: int(key)], value, *old[int(key) + 1 :]])
        else:
            before = table if table is not None else {}
            state.assign(name, {**before, key: value})
    elif adds and isinstance(old, list):
        state.assign(name, [f"{old[0]}{value}" if old else value, *old[1:]])
    else:
        _set(name, value, old if adds and isinstance(old, str) else "", expansion, state)


def _set(name: str, value: str, before: str, expansion: Expansion, state: ShellState) -> None:
    if name in state.integers:
        value = expansion.number(f"{before}+({value})" if before else value)
        before = ""
    state.assign(name, f"{before}{value}")


def _array(raw: str, old: object, state: ShellState, line: int) -> list[str] | dict[str, str]:
    """Return an array's values; `old` are those that it is added to."""
    expansion = Expansion(state, line, substitute)
    block = parse(_joined(raw), state.place(line))
    words = block.commands[0].words[1:] if isinstance(block.commands[0], Simple) else ()
    named: dict[str, str] = dict(old) if isinstance(old, dict) else {}
    values: list[str] = list(old) if isinstance(old, list) else []
    for word in words:
        found = re.match(r"\[([^\]]+)\]=", word.text)
        if found:
            named[expansion.text(found[1])] = expansion.text(word.text[found.end() :])
        else:
            values += expansion.words(word.text)
    return named or values


def export(node: Simple, words: Sequence[str], state: ShellState) -> bool:
    """Follow `export`, `declare` and their like."""
    # of what is written: a value that is put in may begin with a dash, and is no option
    options = "".join(word.text for word in node.words[1:] if word.text.startswith("-"))
    exports = words[0] == "export" or "x" in options
    own = words[0] in ("local", "declare", "typeset")
    for word in node.words[1:]:
        if own and "i" in options:
            state.integers |= set(re.findall(r"^[A-Za-z_]\w*", word.text))
        for name in _declared(word, state, own=own and "g" not in options):
            if own and "A" in options:
                state.variables.setdefault(name, {})
            if "n" in options and words[0] == "export":
                state.exported.discard(name)
            elif exports:
                state.exported.add(name)
    return True


def _declared(word: Word, state: ShellState, *, own: bool) -> list[str]:
    """Set what a word assigns; returns the variables that it names. `own`: of the function."""
    if ASSIGNMENT.match(word.text):
        name = re.split(r"[+=\[]", word.text)[0]
        if own:
            state.make_local(name)
        assign(word, state)
        return [name]
    if re.match(r"[\"']?(\$\(|`)", word.text):
        _export_file(word, state)
        return []
    found = []
    for given in Expansion(state, word.line, substitute).words(word.text):
        name, equals, value = given.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            continue
        if own:
            state.make_local(name)
        if equals:
            state.assign(name, value)
        elif own and state.scopes:
            state.variables.pop(name, None)
        found.append(name)
    return found


def _export_file(word: Word, state: ShellState) -> None:
    """Take the variables of a file: ``export $(grep -v '^#' .env | xargs)``."""
    found = re.search(r"(?:cat|grep|sed|<)[^|]*?\s*([^\s'\"|]+)\s*(?:\||\))", word.text)
    path = Expansion(state, word.line, substitute).text(found[1]) if found else ""
    text = state.text_of(path)
    if text is None:
        state.notes.refuse(
            state.place(word.line),
            f"export {word.text}: which variables these are is not known here: run this where "
            "the file can be read, or write them",
        )
        return
    for name, value in variables_in(text).items():
        state.variables[name] = value
        state.exported.add(name)


def _joined(raw: str) -> str:
    """Return the words of an array on one line, without its comments."""
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in raw.splitlines())
    return f"x {' '.join(lines)}"
