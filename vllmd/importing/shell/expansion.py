"""Words as they are written, worked out: quotes, ``$…``, braces, ``~``. Pure."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator

import attrs

from vllmd.importing.shell.arithmetic import ArithmeticEvaluator, ArithmeticUnknownError
from vllmd.importing.shell.parameters import Parameters
from vllmd.importing.shell.state import ShellState
from vllmd.importing.shell.syntax import Word
from vllmd.importing.unknown import MARK, is_unknown, mark

Substitute = Callable[[ShellState, str, int], str]
"""Works out ``$(…)``: of a state, the text within, and its line."""
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")
_GLOB = re.compile(r"[*?]|\[[^\]]+\]")
_PAIRS = {"(": ")", "{": "}"}
MAX_WORDS = 4096
"""Of one word with braces."""
MAX_BRACES = 100
"""Of one word: a launcher has a few, and each is looked for to the end of the word."""


@attrs.define
class _Fields:
    """The words that one word becomes."""

    done: list[str] = attrs.field(factory=list)
    now: str = ""
    begun: bool = False
    globbed: bool = False

    def add(self, text: str) -> None:
        self.now += text
        self.begun = True

    def split(self, text: str, separators: str) -> None:
        """Add what stands without quotes: its separators part words."""
        blank = "".join(each for each in separators if each in " \t\n")
        hard = "".join(each for each in separators if each not in blank)
        ways = [rf"[{re.escape(blank)}]+"] if blank else []
        if hard:
            around = rf"[{re.escape(blank)}]*" if blank else ""
            ways.insert(0, rf"{around}[{re.escape(hard)}]{around}")
        parts = re.split(rf"(?:{'|'.join(ways)})(?![^\ue000]*\ue002)", text) if ways else [text]
        for index, part in enumerate(parts):
            if index:
                self.end()
            if part:
                self.add(part)

    def end(self) -> None:
        if self.begun:
            self.done.append(self.now)
        self.now, self.begun = "", False


class Expansion:
    """Works out words in a state."""

    def __init__(self, state: ShellState, line: int, substitute: Substitute) -> None:
        self._state, self._line, self._substitute = state, line, substitute

    def words(self, raw: str) -> list[str]:
        """Return the words that one word of a command becomes: none, one or several."""
        found = []
        for each in braces(raw):
            fields = _Fields()
            for text, quoted, apart in self._pieces(self._home(each)):
                if apart and quoted:
                    for index, value in enumerate(text):
                        if index:
                            fields.end()
                        fields.add(value)
                elif quoted:
                    fields.add(" ".join(text))
                elif apart is None:  # written so: it is not split
                    fields.add(text[0])
                    fields.globbed |= bool(_GLOB.search(text[0]))
                else:
                    for index, value in enumerate(text):
                        if index:
                            fields.end()
                        fields.split(value, self._state.separators)
            fields.end()
            found += self._files(fields.done) if fields.globbed else fields.done
        return found

    def all_words(self, words: Iterable[Word]) -> list[str]:
        """Return the words that all those of a command become."""
        return [each for word in words for each in self.words(word.text)]

    def text(self, raw: str) -> str:
        """Return a word as one text: of an assignment, a pattern, a file's name."""
        return "".join(" ".join(text) for text, _, _ in self._pieces(self._home(raw)))

    def document(self, body: str) -> str:
        """Return a here-document: quotes are as they are."""
        pieces = self._pieces(body, within='"')
        return "".join(" ".join(text) for text, _, _ in pieces)

    def number(self, text: str) -> str:
        """Return an arithmetic expression's value, or a mark."""
        inner = self.document(text)
        state = self._state

        def get(name: str) -> str:
            values, _ = self._parameters().values(name)
            return "".join(values)

        def put(name: str, value: str) -> None:
            array = re.fullmatch(r"(\w+)\[.*\]", name)
            if array:
                raise ArithmeticUnknownError
            state.assign(name, value)

        try:
            if is_unknown(inner):
                raise ArithmeticUnknownError
            return str(ArithmeticEvaluator(inner, get, put).value())
        except ArithmeticUnknownError:
            place = state.place(self._line)
            return mark(f"$(({text.strip()}))", "a number in it is not known here", place)

    def _parameters(self) -> Parameters:
        return Parameters(self._state, self._line, self.text)

    def _home(self, raw: str) -> str:
        found = re.match(r"~(?=/|$)", raw)
        if not found:
            return re.sub(r"(?<==)~(?=/|$)", "${HOME}", raw) if re.match(r"\w+=~", raw) else raw
        return f"${{HOME}}{raw[1:]}"

    def _files(self, words: list[str]) -> list[str]:
        """Mark the words that name files by a pattern."""
        place = self._state.place(self._line)
        reason = "which files it names is not known here; write their names"
        return [mark(each, reason, place) if "/" in each else each for each in words]

    def _pieces(self, raw: str, within: str = "") -> Iterator[tuple[list[str], bool, bool | None]]:
        """Yield pieces: values, whether they stood in quotes, and whether they are words apart.

        The last is None for what is written so. `within` is the quote that `raw` stands in.
        """
        at, quoted = 0, bool(within)
        while at < len(raw):
            char = raw[at]
            if char == "\\":
                piece, at = self._escaped(raw, at, quoted=quoted)
                yield [piece], True, None
            elif char == "'" and not quoted:
                end = _quote_end(raw, at)
                yield [raw[at + 1 : end]], True, None
                at = end + 1
            elif char == '"' and not within:
                if not quoted and raw.startswith('""', at):
                    yield [""], True, None
                quoted, at = not quoted, at + 1
            elif char == "`":
                end = _quote_end(raw, at)
                yield [self._substitute(self._state, raw[at + 1 : end], self._line)], quoted, False
                at = end + 1
            elif raw.startswith(("<(", ">("), at) and not quoted:
                place = self._state.place(self._line)
                yield [mark(raw[at:], "what a command prints is not known here", place)], True, None
                return
            elif found := MARK.match(raw, at):
                yield [found[0]], quoted, False
                at = found.end()
            elif char == "$":
                values, apart, at = self._dollar(raw, at, quoted=quoted)
                yield values, quoted, apart
            else:
                end = at + 1
                while end < len(raw) and raw[end] not in "\\'\"`$<>\ue000":
                    end += 1
                yield [raw[at:end]], quoted, None if not quoted else False
                at = end

    def _escaped(self, raw: str, at: int, *, quoted: bool) -> tuple[str, int]:
        following = raw[at + 1 : at + 2]
        if following == "\n":
            return "", at + 2
        if quoted and following not in ("$", "`", '"', "\\"):
            return "\\", at + 1
        return following, at + 2

    def _dollar(self, raw: str, at: int, *, quoted: bool) -> tuple[list[str], bool | None, int]:
        """Return the values of what ``$`` begins, whether they are apart, and what follows."""
        following = raw[at + 1 : at + 2]
        if raw.startswith("$((", at):
            end = _end(raw, at + 1)
            if raw[end - 2 : end] == "))":
                return [self.number(raw[at + 3 : end - 2])], False, end
        if following == "(":
            end = _end(raw, at + 1)
            return [self._substitute(self._state, raw[at + 2 : end - 1], self._line)], False, end
        if following == "{":
            end = _end(raw, at + 1)
            values, apart = self._parameters().values(raw[at + 2 : end - 1])
            return values, apart, end
        if following == "'" and not quoted:
            end = at + 2
            while raw[end] != "'":
                end += 2 if raw[end] == "\\" else 1
            return [_c_string(raw[at + 2 : end])], None, end + 1
        found = _NAME.match(raw, at + 1)
        if found is None:
            return ["$"], None, at + 1
        if found[0] in ("@", "*") and self._state.arguments is None:
            self._state.notes.remark("left out: $@: the arguments that the script itself is given")
        values, apart = self._parameters().values(found[0])
        return values, apart, found.end()


def _quote_end(raw: str, at: int) -> int:
    """Return where the quote that begins here ends: at the end, if it has none."""
    end = raw.find(raw[at], at + 1)
    return len(raw) if end < 0 else end


def braces(raw: str) -> list[str]:
    """Return the words that ``{a,b}`` and ``{1..3}`` make of one, and no more than `MAX_WORDS`."""
    if raw.count("{") > MAX_BRACES:
        return [raw]
    waiting, done = [raw], list[str]()
    while waiting and len(done) < MAX_WORDS:
        word = waiting.pop()
        found = _unquoted_braces(word)
        if found is None:
            done.append(word)
            continue
        begin, end, parts = found
        waiting += (f"{word[:begin]}{part}{word[end:]}" for part in reversed(parts[:MAX_WORDS]))
    return done


def _unquoted_braces(raw: str) -> tuple[int, int, list[str]] | None:
    at = 0
    while at < len(raw):
        if raw[at] == "\\":
            at += 2
        elif raw[at] in "'\"":
            end = raw.find(raw[at], at + 1)
            at = len(raw) if end < 0 else end + 1
        elif raw[at] == "$" and raw[at + 1 : at + 2] in ("{", "("):
            at = _end(raw, at + 1)
        elif raw[at] == "{":
            end = _end(raw, at)
            parts = _parts(raw[at + 1 : end - 1]) if raw[end - 1] == "}" else []
            if len(parts) > 1 or (parts and _RANGE.fullmatch(raw[at + 1 : end - 1])):
                return at, end, parts
            at += 1
        else:
            at += 1
    return None


def _parts(inner: str) -> list[str]:
    if numbers := _RANGE.fullmatch(inner):
        first, last = int(numbers[1]), int(numbers[2])
        step = abs(int(numbers[3] or 1)) or 1
        width = max(len(n) for n in numbers.group(1, 2) if n) if re.search(r"\b0\d", inner) else 0
        one = 1 if first <= last else -1
        values = range(first, last + one, step * one)
        return [str(value).zfill(width) for value in values[:MAX_WORDS]]
    if letters := re.fullmatch(r"([a-zA-Z])\.\.([a-zA-Z])", inner):
        first, last = ord(letters[1]), ord(letters[2])
        one = 1 if first <= last else -1
        return [chr(code) for code in range(first, last + one, one)]
    parts, depth, now, quote = [], 0, "", ""
    for char in inner:
        quote = "" if char == quote else quote or (char if char in "'\"" else "")
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0 and not quote:
            parts.append(now)
            now = ""
        else:
            now += char
    return [*parts, now] if parts else []


def _end(raw: str, at: int) -> int:
    """Return what follows the bracket that closes the one here, or the end."""
    opening, depth, quote = raw[at], 0, ""
    while at < len(raw):
        char = raw[at]
        if char == "\\" and quote != "'":
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char == opening) - (char == _PAIRS[opening])
            if depth == 0:
                return at + 1
        at += 1
    return at


def _c_string(text: str) -> str:
    return codecs.decode(text.encode("latin-1", "backslashreplace"), "unicode_escape")
