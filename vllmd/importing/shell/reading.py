"""What a script reads into variables: `read` and `mapfile`. Pure."""

import re
from collections.abc import Mapping, Sequence

from vllmd.importing.shell.expansion import Expansion
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.substitution import given_by, output_of, substitute
from vllmd.importing.shell.syntax import Node, Redirection, Simple
from vllmd.importing.unknown import is_unknown, mark

READS = frozenset({"read", "mapfile", "readarray"})
_REASON = "it is read when the script runs, and nothing is run here"
_TAKES = "adinNptuCcOs"
"""Options with a value, of either command; ``-a``, ``-d`` and ``-n`` mean something here."""


def given_text(redirections: Sequence[Redirection], state: ShellState) -> str | None:
    """Return what a command is given to read; None if it is given nothing that is known here."""
    for each in redirections:
        expansion = Expansion(state, each.target.line, substitute)
        operator = each.operator.lstrip("0123456789")
        if operator in ("<<", "<<-"):
            return each.body if each.literal else expansion.document(each.body)
        if operator == "<" and each.target.text.startswith("<("):
            return given_by(state, each.target.text, each.target.line)
        if operator in ("<<<", "<"):
            target = expansion.text(each.target.text)
            return f"{target}\n" if operator == "<<<" else state.text_of(target)
    return None


def text_before(state: ShellState, commands: Sequence[Node]) -> str:
    """Return what the commands of a pipe print; empty if that is not known."""
    first = commands[0]
    if (
        len(commands) == 1
        and isinstance(first, Simple)
        and [w.text for w in first.words] == ["cat"]
    ):
        return given_text(first.redirections, state) or ""
    return output_of(state, commands) or ""


def read(
    state: ShellState,
    words: Sequence[str],
    own: Mapping[str, str],
    document: str | None,
    line: int,
) -> bool | None:
    """Follow a command that reads; `document` is what it is given, None where that is not known.

    Returns: whether it succeeds, if that is known.
    """
    options, names = _options(words)
    if document is None and state.lines is not None and words[0] == "read":
        document = f"{state.lines.pop(0)}\n" if state.lines else ""
    lines = words[0] != "read"
    array = options.get("a") or (names[0] if lines and names else "MAPFILE" if lines else "")
    if document is None or is_unknown(document):
        unknown = {name: mark(f"${name}", _REASON, state.place(line)) for name in [*names, array]}
        for name in filter(None, names):
            state.assign(name, unknown[name])
        if array:
            state.assign(array, [unknown[array]])
        return None
    if lines:
        state.assign(array, document.splitlines(keepends="t" not in options))
        return True
    end = options.get("d", "\n")
    text = document.partition(end)[0] if end else document.removesuffix("\n")
    separators = own.get("IFS", state.separators)
    if is_unknown(separators):
        separators = " \t\n"
    if array:
        state.assign(array, _split(text, separators))
        return True
    values = _split(text, separators, max(len(names), 1))
    for index, name in enumerate(names or ["REPLY"]):
        state.assign(name, values[index] if index < len(values) else "")
    return bool(document)


def _options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options with their values, and the names of variables."""
    options: dict[str, str] = {}
    rest = list(words[1:])
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        word = rest.pop(0)
        if word == "--":
            break
        for index, letter in enumerate(word[1:], 2):
            # -s is silent of `read`, and -t a time of it, but -t takes nothing of `mapfile`
            takes = letter in _TAKES and letter != "s" and (words[0] == "read" or letter != "t")
            options[letter] = (word[index:] or (rest.pop(0) if rest else "")) if takes else ""
            if takes:
                break
    return options, [word for word in rest if re.fullmatch(r"[A-Za-z_]\w*", word)]


def _split(text: str, separators: str, most: int = 0) -> list[str]:
    """Return fields as `IFS` parts them; the last of `most` has the rest."""
    blank = "".join(each for each in separators if each.isspace())
    rest = text.removesuffix("\n").strip(blank)
    fields: list[str] = []
    while rest:
        end = next((at for at, char in enumerate(rest) if char in separators), len(rest))
        if most and len(fields) == most - 1:
            end = len(rest)
        fields.append(rest[:end])
        after = rest[end:].lstrip(blank)
        rest = after[1:].lstrip(blank) if _is_hard(after, separators) else after
    return fields


def _is_hard(text: str, separators: str) -> bool:
    """Tell whether a separator comes that is no space: two of these have an empty field between."""
    return bool(text) and text[0] in separators and not text[0].isspace()
