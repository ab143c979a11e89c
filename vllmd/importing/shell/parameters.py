"""``${…}``: a variable, and what is made of its value. Pure."""

import re
from collections.abc import Callable

from vllmd.importing.shell.patterns import expression_of
from vllmd.importing.shell.state import ShellState, Value
from vllmd.importing.unknown import is_unknown, mark
from vllmd.importing.variables import OF_HF_TOKEN
from vllmd.util.redact import is_secret, masked

_FORM = re.compile(
    r"(?P<bang>!?)(?P<name>[A-Za-z_]\w*|\d+|[@*#?$!-])(?:\[(?P<index>[^\]]*)\])?(?P<rest>.*)",
    re.DOTALL,
)
_ALL = ("@", "*")
_INHERITED = {"USER", "LOGNAME", "UID", "EUID", "HOSTNAME", "RANDOM", "SECONDS", "PPID", "$", "!"}
_INHERITED |= {"?", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SHELL", "LANG", "TMPDIR", "-"}
NOT_SET = "it is set nowhere in what was read; set it, or give it before the command: NAME=VALUE"
_ARGUMENT = "it is an argument, and none is given; give the command with it, in quotes"
UNSET: list[str] = []


class Parameters:
    """Reads ``${…}``; `text` works out a word of it."""

    def __init__(self, state: ShellState, line: int, text: Callable[[str], str]) -> None:
        self._state, self._line, self._text = state, line, text

    def values(self, inner: str) -> tuple[list[str], bool]:
        """Return the values, and whether they are words of their own within quotes too."""
        if inner.startswith("#") and len(inner) > 1:
            return [self._length(inner[1:])], False
        found = _FORM.fullmatch(inner)
        if found is None:
            return [self._mark(inner, "this form is not read")], False
        name, index, rest = found["name"], found["index"], found["rest"]
        if found["bang"]:
            return self._indirect(name, index, rest)
        values = self._of(name, index)
        several = name in _ALL or index in _ALL
        apart = name == "@" or index == "@"
        if rest:
            values = self._apply(inner, name, values, rest)
        elif values is UNSET:
            values = [] if several else [self._unset(name)]
        if several and not apart:
            values = [self._state.separators[:1].join(values)] if values else []
        return values, apart

    def _of(self, name: str, index: str | None) -> list[str]:
        """Return the values of a variable; `UNSET` if it is not set."""
        state = self._state
        if name.isdigit():
            return self._argument(int(name))
        if name in _ALL:
            return UNSET if state.arguments is None else list(state.arguments)
        if name == "#":
            return UNSET if state.arguments is None else [str(len(state.arguments))]
        special = self._special(name)
        value: Value | None = special if special is not None else state.variables.get(name)
        if value is None:
            return UNSET
        state.used.add(name)
        if isinstance(value, str):
            return [value] if index in (None, "0", *_ALL) else UNSET
        if index in _ALL:
            return list(value.values() if isinstance(value, dict) else value)
        if isinstance(value, dict):
            key = self._text(index or "")
            return [value[key]] if key in value else UNSET
        at = self._text(f"$(({index or 0}))")
        if is_unknown(at):
            return [at]
        return [value[int(at)]] if -len(value) <= int(at) < len(value) else UNSET

    def _special(self, name: str) -> str | None:
        state, place = self._state, self._state.place(self._line)
        if name in state.variables:
            return None
        match name:
            case "HOME":
                return state.surroundings.home_at(place)
            case "PWD":
                return state.folder or state.surroundings.folder_at("$PWD", place)
            case "BASH_SOURCE":
                return state.path or self._mark("BASH_SOURCE", "the script has no file here")
            case "LINENO":
                return str(self._line)
            case _ if name in _INHERITED:
                return mark(f"${name}", "it is of who ran it, which is not known here", place)
        return None

    def _argument(self, number: int) -> list[str]:
        if number == 0:
            return [self._state.path or self._mark("0", "the script has no file here")]
        given = self._state.arguments
        return [given[number - 1]] if given is not None and number <= len(given) else UNSET

    def _length(self, inner: str) -> str:
        name, _, index = inner.partition("[")
        values = self._of(name, index.rstrip("]") or None)
        if any(map(is_unknown, values)) or (values is UNSET and name not in self._state.variables):
            return self._mark(f"#{inner}", NOT_SET)
        return str(len(values)) if index else str(len("".join(values)))

    def _indirect(self, name: str, index: str | None, rest: str) -> tuple[list[str], bool]:
        value = self._state.variables.get(name)
        if index in _ALL and not rest:
            if isinstance(value, dict):
                return list(value), True
            if value is None:
                return [], True
            if is_unknown("".join(value)) and len(value) == 1:
                return list(value), True  # how many it has is not known
            return [str(i) for i in range(len(value if isinstance(value, list) else [value]))], True
        if isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*", value):
            return self.values(f"{value}{rest}")
        return [self._mark(f"!{name}", "which variable it names is not known here")], False

    def _unset(self, name: str) -> str:
        return self._mark(name, _ARGUMENT if name.isdigit() else NOT_SET, braces=False)

    def _mark(self, written: str, reason: str, *, braces: bool = True) -> str:
        shown = f"${{{written}}}" if braces else f"${written}"
        return mark(shown, reason, self._state.place(self._line))

    def _apply(self, inner: str, name: str, values: list[str], rest: str) -> list[str]:
        """Return what an operator makes of values."""
        colon = rest.startswith(":") and rest[1:2] in ("-", "=", "?", "+")
        operator, word = (rest[1:2], rest[2:]) if colon else (rest[:1], rest[1:])
        empty = values is UNSET or (colon and values in ([], [""]))
        if operator in ("-", "=", "?", "+") and (colon or rest[0] != ":"):
            return self._default(name, values, operator, word, empty=empty)
        if any(map(is_unknown, values)) or values is UNSET:
            return [self._mark(inner, NOT_SET if values is UNSET else "its value is not known")]
        if operator == ":":
            return self._slice(inner, values, word)
        if operator in ("#", "%"):
            return [_without(value, operator, word, self._text) for value in values]
        if operator == "/":
            return [_replaced(value, word, self._text) for value in values]
        if operator in ("^", ","):
            whole = word.startswith(operator)
            change = str.upper if operator == "^" else str.lower
            return [change(v) if whole else change(v[:1]) + v[1:] for v in values]
        return [self._mark(inner, "this form is not read")]

    def _default(
        self, name: str, values: list[str], operator: str, word: str, *, empty: bool
    ) -> list[str]:
        if operator == "+":
            return self._if_set(name, word) if empty else [self._text(word)]
        if not empty:
            return values
        if operator == "?":
            return [self._unset(name)]
        default = self._text(word)
        if operator == "=":
            self._state.assign(name, default)
        if default and not is_unknown(default):
            kind = "argument" if name.isdigit() else "variable"
            self._state.notes.remark(
                f"{self._state.place(self._line)}: the {kind} {name} is not set: its default "
                f"{masked(name, default)!r} is taken"
            )
        return [default] if default or not word else [""]

    def _if_set(self, name: str, word: str) -> list[str]:
        """Return what stands for a variable that is not set here, and may be where it was run."""
        place = self._state.place(self._line)
        if name in self._state.variables or name.isdigit() or name in ("@", "*"):
            return []
        if name in OF_HF_TOKEN or is_secret(name):
            self._state.variables[name] = mark(f"${name}", NOT_SET, place)
            made = [self._text(word)]
            del self._state.variables[name]
            return made
        self._state.notes.remark(
            f"{place}: the variable {name} is not set: {masked(name, word)!r} is left out, which "
            "it would bring"
        )
        return []

    def _slice(self, inner: str, values: list[str], word: str) -> list[str]:
        first, colon, length = word.partition(":")
        if not word.strip():
            return [self._mark(inner, "nothing says which part of it")]
        # one that is left out is 0: ${NAME::3}
        given = (first, length) if colon else (first,)
        numbers = [self._text(f"$(({each.strip() or 0}))") for each in given]
        if any(map(is_unknown, numbers)):
            return [self._mark(inner, "the numbers in it are not known")]
        begin = int(numbers[0])
        count = int(numbers[1]) if len(numbers) > 1 else None
        if inner.startswith(_ALL) and begin == 0:
            return [self._mark(inner, "it begins with the name of the script, $0")]
        if inner.startswith(_ALL) or "[@]" in inner or "[*]" in inner:
            begin -= inner.startswith(_ALL) and begin > 0
            return values[begin:][:count]
        return ["".join(values)[begin:][:count]]


def _without(value: str, operator: str, word: str, text: Callable[[str], str]) -> str:
    longest = word.startswith(operator)
    pattern = re.compile(expression_of(text(word.removeprefix(operator))), re.DOTALL)
    cuts = range(len(value) + 1)
    order = list(cuts)
    if (operator == "#") == longest:
        order.reverse()
    for cut in order:
        if operator == "#" and pattern.fullmatch(value, 0, cut):
            return value[cut:]
        if operator == "%" and pattern.fullmatch(value, cut):
            return value[:cut]
    return value


def _replaced(value: str, word: str, text: Callable[[str], str]) -> str:
    every = word.startswith("/")
    pattern, _, new = word.removeprefix("/").partition("/")
    anchor = pattern[:1] if not every and pattern[:1] in ("#", "%") else ""
    expression = expression_of(text(pattern.removeprefix(anchor)))
    if anchor:
        expression = rf"\A(?:{expression})" if anchor == "#" else rf"(?:{expression})\Z"
    replacement = text(new)
    if not expression:
        return value
    return re.sub(
        expression, lambda _: replacement, value, count=0 if every else 1, flags=re.DOTALL
    )
