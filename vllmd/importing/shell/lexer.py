"""A script as tokens, each with its line. Pure."""

import re
from collections.abc import Iterator

import attrs

from vllmd.errors import VllmdError
from vllmd.importing.unknown import Place

_OPERATORS: tuple[str, ...] = (";;&", "&&", "||", ";;", ";&", "|&", ";", "&", "|", "(", ")")
_REDIRECTION = re.compile(r"\d*(?:&>>?|<<<|<<-?|>>|>&|<&|>\||<>|<|>)")
_ARRAY = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_PAIRS = {"(": ")", "{": "}"}


@attrs.frozen
class Token:
    """A word as it is written, with its quotes, an operator, or the end of a line."""

    kind: str
    """``word``, ``operator``, ``redirection``, ``arithmetic`` or ``newline``."""
    text: str
    line: int
    body: str = ""
    """Of a here-document, its text."""
    literal: bool = False
    """Of a here-document: its word was quoted, so that nothing in it is worked out."""


class Lexer:
    """Reads a script from its begin to its end."""

    def __init__(self, text: str, place: Place) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._first = place
        self._waiting: list[int] = []
        self.tokens: list[Token] = []

    def read(self) -> list[Token]:
        """Return all tokens.

        Raises: VllmdError: a quote or a bracket has no end.
        """
        while self._at < len(self._text):
            self._next()
        self._take_documents()
        self._add("newline", "\n")
        return self.tokens

    def _next(self) -> None:
        text, at = self._text, self._at
        char = text[at]
        if text.startswith("\\\n", at):
            self._at += 2
        elif char == "\n":
            self._add("newline", "\n")
            self._at += 1
            self._take_documents()
        elif char in " \t":
            self._at += 1
        elif char == "#":
            end = text.find("\n", at)
            self._at = len(text) if end < 0 else end
        elif text.startswith("((", at) and self._begins_command():
            end = self._end_of_brackets(at, "(")
            self._add("arithmetic", text[at + 2 : end - 2])
            self._at = end
        elif (found := _REDIRECTION.match(text, at)) and not text.startswith(("<(", ">("), at):
            self._redirection(found[0])
        elif operator := next((o for o in _OPERATORS if text.startswith(o, at)), ""):
            if text.startswith(("<(", ">("), at):
                self._word()
                return
            self._add("operator", operator)
            self._at += len(operator)
        else:
            self._word()

    def _begins_command(self) -> bool:
        last = self.tokens[-1] if self.tokens else None
        return last is None or last.kind in ("newline", "operator") or last.text in _COMMAND_FOLLOWS

    def _redirection(self, text: str) -> None:
        self._add("redirection", text)
        self._at += len(text)
        if text.lstrip("0123456789") in ("<<", "<<-"):
            self._waiting.append(len(self.tokens) - 1)

    def _take_documents(self) -> None:
        """Read the here-documents that begin after this line."""
        for index in self._waiting:
            token = self.tokens[index]
            if index + 1 >= len(self.tokens):
                raise self._error(self._at, "a here-document has no word after <<")
            word = self.tokens[index + 1].text
            literal = any(quote in word for quote in "'\"\\")
            end = re.sub(r"['\"\\]", "", word)
            lines = []
            while self._at < len(self._text):
                line, _, _ = self._text[self._at :].partition("\n")
                self._at += len(line) + 1
                if token.text.endswith("-"):
                    line = line.lstrip("\t")
                if line == end:
                    break
                lines.append(f"{line}\n")
            else:
                raise VllmdError(
                    f"{self._first.source}:{token.line}: the here-document has no line {end!r}, "
                    "which ends it"
                )
            self.tokens[index] = attrs.evolve(token, body="".join(lines), literal=literal)
        self._waiting = []

    def _word(self) -> None:
        begin = at = self._at
        text = self._text
        while at < len(text) and text[at] not in " \t\n;&|()<>":
            at = self._after(at)
            if text.startswith("(", at) and _ARRAY.fullmatch(text[begin:at]):
                at = self._end_of_brackets(at, "(")
            if text.startswith(("<(", ">("), at):
                at = self._end_of_brackets(at + 1, "(")
        if at == begin:  # <( or >( at its begin
            at = self._end_of_brackets(at + 1, "(")
        self._add("word", text[begin:at])
        self._at = at

    def _after(self, at: int) -> int:
        """Return where the next piece begins: after a character, or what it opens."""
        text = self._text
        match text[at]:
            case "\\":
                return min(at + 2, len(text))
            case "'":
                return self._closing(at, text.find("'", at + 1)) + 1
            case "\ue000":  # a mark is one piece
                return text.find("\ue002", at) + 1 or len(text)
            case '"':
                return self._end_of_double(at)
            case "`":
                return self._closing(at, text.find("`", at + 1)) + 1
            case "$" if text[at + 1 : at + 2] in ("(", "{"):
                return self._end_of_brackets(at + 1, text[at + 1])
            case "$" if text[at + 1 : at + 2] == "'":
                return self._closing(at, _end_of_escaped(text, at + 2)) + 1
            case _:
                return at + 1

    def _end_of_double(self, at: int) -> int:
        begin, at = at, at + 1
        while at < len(self._text) and self._text[at] != '"':
            at = at + 1 if self._text[at] == "'" else self._after(at)
        self._closing(begin, at if at < len(self._text) else -1)
        return at + 1

    def _end_of_brackets(self, at: int, opening: str) -> int:
        """Return what follows the bracket that closes the one here."""
        begin, depth, closing = at, 0, _PAIRS[opening]
        while at < len(self._text):
            char = self._text[at]
            if char == "#" and self._text[at - 1] in " \t\n" and opening == "(":
                end = self._text.find("\n", at)
                at = len(self._text) if end < 0 else end
                continue
            depth += (char == opening) - (char == closing)
            if depth == 0:
                return at + 1
            at = at + 1 if char == opening else self._after(at)
        raise self._error(begin, f"{opening!r} has no {closing!r}")

    def _closing(self, begin: int, end: int) -> int:
        if end < 0:
            raise self._error(begin, f"the quote {self._text[begin]} has no end")
        return end

    def _error(self, at: int, what: str) -> VllmdError:
        return VllmdError(f"{self._first.source}:{self._line(at)}: {what}: close it")

    def _line(self, at: int) -> int:
        return self._first.line + self._text.count("\n", 0, at)

    def _add(self, kind: str, text: str) -> None:
        self.tokens.append(Token(kind, text, self._line(self._at)))


_COMMAND_FOLLOWS = {"then", "do", "else", "elif", "if", "while", "until", "{", "!", "for"}


def _end_of_escaped(text: str, at: int) -> int:
    while at < len(text) and text[at] != "'":
        at += 2 if text[at] == "\\" else 1
    return at if at < len(text) else -1


def tokens_of(text: str, place: Place) -> Iterator[Token]:
    """Return the tokens of a script whose first line is at `place`.

    Raises: VllmdError: a quote, a bracket or a here-document has no end.
    """
    return iter(Lexer(text, place).read())
