"""The shell's whole numbers: ``$((…))``, ``((…))`` and the parts of a counting loop. Pure."""

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(\d+#\w+|0[xX][0-9a-fA-F]+|\d+|\$?\{?[A-Za-z_]\w*(?:\[[^\]]*\])?\}?"
    r"|\+\+|--|\*\*|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%]=|[-+*/%<>=!~&|^?:(),])"
)
_LEVELS: tuple[tuple[str, ...], ...] = (
    *(("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", ">", "<=", ">=")),
    *(("<<", ">>"), ("+", "-"), ("*", "/", "%")),
)


class ArithmeticUnknownError(Exception):
    """The number is not known here."""


class ArithmeticEvaluator:
    """Works out one expression; `get` gives a variable, and `put` sets it."""

    def __init__(
        self, text: str, get: Callable[[str], str], put: Callable[[str, str], None]
    ) -> None:
        self._tokens = self._split(text.strip())
        self._at = 0
        self._get, self._put = get, put

    def value(self) -> int:
        """Return the number.

        Raises: ArithmeticUnknownError: a part of it is not known, or not read.
        """
        if not self._tokens:
            return 0
        result = self._assignment()
        while self._accept(","):
            result = self._assignment()
        if self._at < len(self._tokens):
            raise ArithmeticUnknownError
        return result

    @staticmethod
    def _split(text: str) -> list[str]:
        found, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise ArithmeticUnknownError
            found.append(match[1])
            at = match.end()
        return found

    def _assignment(self) -> int:
        name = self._name()
        following = self._tokens[self._at + 1 : self._at + 2]
        if name and following and following[0] in ("=", "+=", "-=", "*=", "/=", "%="):
            self._at += 2
            value = self._assignment()
            if following[0] != "=":
                value = _apply(following[0][0], self._variable(name), value)
            self._put(name, str(value))
            return value
        condition = self._level(0)
        if self._accept("?"):
            yes = self._assignment()
            self._expect(":")
            no = self._assignment()
            return yes if condition else no
        return condition

    def _level(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        value = self._level(level + 1)
        while self._at < len(self._tokens) and self._tokens[self._at] in _LEVELS[level]:
            operator = self._tokens[self._at]
            self._at += 1
            value = _apply(operator, value, self._level(level + 1))
        return value

    def _unary(self) -> int:
        for sign, apply in _UNARY.items():
            if self._accept(sign):
                return apply(self._unary())
        for step in ("++", "--"):
            if self._accept(step):
                return self._step(self._take_name(), 1 if step == "++" else -1)
        if self._accept("("):
            value = self._assignment()
            self._expect(")")
            return value
        name = self._name()
        if name:
            self._at += 1
            value = self._variable(name)
            for step in ("++", "--"):
                if self._accept(step):
                    self._step(name, 1 if step == "++" else -1)
            return value
        return self._number()

    def _number(self) -> int:
        if self._at >= len(self._tokens):
            raise ArithmeticUnknownError
        text = self._tokens[self._at]
        self._at += 1
        try:
            base, hash_sign, digits = text.partition("#")
            if hash_sign:
                return int(digits, int(base))
            octal = len(text) > 1 and text.startswith("0") and text.isdigit()
            return int(text, 8 if octal else 0)
        except ValueError:
            raise ArithmeticUnknownError from None

    def _step(self, name: str, by: int) -> int:
        value = self._variable(name) + by
        self._put(name, str(value))
        return value

    def _variable(self, name: str) -> int:
        text = self._get(name).strip()
        if not re.fullmatch(r"[-+]?\d+", text or "0"):
            raise ArithmeticUnknownError
        return int(text or "0")

    def _name(self) -> str:
        text = (
            self._tokens[self._at].lstrip("$").strip("{}") if self._at < len(self._tokens) else ""
        )
        return text if re.match(r"[A-Za-z_]", text) else ""

    def _take_name(self) -> str:
        name = self._name()
        self._at += 1
        return name

    def _accept(self, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == text:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise ArithmeticUnknownError


_UNARY: dict[str, Callable[[int], int]] = {
    "!": lambda value: int(not value),
    "-": lambda value: -value,
    "+": lambda value: value,
    "~": lambda value: ~value,
}


def _divide(one: int, other: int) -> int:
    if other == 0:
        raise ArithmeticUnknownError
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _shift(one: int, other: int) -> int:
    if not 0 <= other < 63:
        raise ArithmeticUnknownError
    return one << other


_BINARY: dict[str, Callable[[int, int], int]] = {
    "||": lambda a, b: int(bool(a or b)),
    "&&": lambda a, b: int(bool(a and b)),
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "&": lambda a, b: a & b,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    ">": lambda a, b: int(a > b),
    "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b),
    "<<": _shift,
    ">>": lambda a, b: a >> (b & 63),
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": lambda a, b: a - _divide(a, b) * b,
}


def _apply(operator: str, one: int, other: int) -> int:
    return _BINARY[operator](one, other)
