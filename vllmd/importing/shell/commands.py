"""The commands of a script that change what it goes on with. Pure."""

import re
from collections.abc import Callable, Sequence
from functools import partial

from vllmd.importing.shell.conditions import holds
from vllmd.importing.shell.printf import formatted, with_escapes
from vllmd.importing.shell.state import ShellState
from vllmd.importing.surroundings import join
from vllmd.importing.unknown import is_unknown, mark

Builtin = Callable[[ShellState, Sequence[str], int], bool | None]
"""Takes the words after the name, and a line; returns whether it succeeds, if that is known."""


def _cd(state: ShellState, words: Sequence[str], line: int) -> bool | None:
    given = [word for word in words if word == "-" or not word.startswith("-")]
    place = state.place(line)
    if given[:1] == ["-"]:
        state.folder = mark("cd -", "the folder before is not known here", place)
        return True
    target = given[0] if given else state.surroundings.home_at(place)
    state.folder = _below(state, target, line)
    return True


def _below(state: ShellState, path: str, line: int) -> str:
    """Return a path as seen from the working directory."""
    if path.startswith("/") or is_unknown(path[:1]):
        return join("/", path) if path.startswith("/") else path
    folder = state.folder or state.surroundings.folder_at(
        "the working directory", state.place(line)
    )
    return join(folder, path)


def _cleared(state: ShellState, words: Sequence[str], _line: int) -> bool:
    for name in words:
        if not name.startswith("-"):
            state.variables.pop(name, None)
            state.exported.discard(name)
    return True


def _set(state: ShellState, words: Sequence[str], _line: int) -> bool:
    rest = list(words)
    while rest and rest[0][:1] in ("-", "+") and rest[0] != "--":
        option = rest.pop(0)
        name = rest.pop(0) if option in ("-o", "+o") and rest else option[1:]
        if name == "allexport" or (option[1:2] != "o" and "a" in option):
            state.exports_all = option.startswith("-")
    if rest[:1] == ["--"]:
        state.arguments = rest[1:]
    return True


def _shift(state: ShellState, words: Sequence[str], _line: int) -> bool:
    count = int(words[0]) if words and words[0].isdigit() else 1
    if state.arguments is not None:
        state.arguments = state.arguments[count:]
    return True


def _end(state: ShellState, _words: Sequence[str], _line: int) -> bool:
    state.ended = state.exits = True
    return True


def _return(state: ShellState, _words: Sequence[str], _line: int) -> bool:
    state.ended = True
    return True


def _leave(state: ShellState, words: Sequence[str], _line: int, kind: str) -> bool:
    state.leaves = (kind, int(words[0]) if words and words[0].isdigit() else 1)
    return True


def _getopts(state: ShellState, words: Sequence[str], line: int) -> bool | None:
    reason = "it is of the options that the script itself is given"
    for name in words[1:2]:
        state.assign(name, mark(f"${name}", reason, state.place(line)))
    return None


def _test(state: ShellState, words: Sequence[str], _line: int) -> bool | None:
    given = list(words)
    if given and given[-1] == "]":
        given.pop()
    return holds(given, is_there=state.is_there)


def _conda(state: ShellState, words: Sequence[str], line: int) -> bool | None:
    if words[:1] == ["activate"]:
        name = words[1] if len(words) > 1 else "base"
        reason = "where this conda environment is is not known here: write the path of its vllm"
        state.prefix = (
            f"{name}/bin"
            if "/" in name
            else mark(f"conda activate {name}", reason, state.place(line))
        )
        return True
    if words[:1] == ["deactivate"]:
        state.prefix = ""
        return True
    return None


BUILTINS: dict[str, Builtin] = {
    "cd": _cd,
    "pushd": _cd,
    "unset": _cleared,
    "set": _set,
    "shift": _shift,
    "exit": _end,
    "return": _return,
    "getopts": _getopts,
    "break": partial(_leave, kind="break"),
    "continue": partial(_leave, kind="continue"),
    "test": _test,
    "[": _test,
    "true": lambda *_: True,
    ":": lambda *_: True,
    "false": lambda *_: False,
}
"""By name."""
CONDA = _conda
EXPORTS = frozenset({"export", "declare", "typeset", "local", "readonly"})
"""Commands whose words are assignments."""
PRINTS = frozenset({"echo", "printf", "cat", "tee"})
"""Commands whose output may be what a file is made of."""


def printed(name: str, words: Sequence[str], document: str) -> str | None:
    """Return what a command prints, of those that only handle texts; None if it is not known."""
    match name:
        case "cat" | "tee":
            return document
        case "printf":
            return formatted(words)
        case _:
            rest, options = list(words), ""
            while rest and re.fullmatch(r"-[neE]+", rest[0]):
                options += rest.pop(0)
            text = with_escapes(" ".join(rest)) if "e" in options else " ".join(rest)
            return text if "n" in options else f"{text}\n"
