"""What Markdown, HTML and prose put around the lines of a log, taken off. Pure: no I/O."""

import html
import re
from collections.abc import Iterator, Sequence

_SHOWS = re.compile(
    r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|OutOfResources|NotFound|IsEnabled): \S"
    r"|(?:[a-z_]\w*\.){2,}[A-Z]\w+: \S|undefined symbol: "
    r"|Traceback \(most recent call last\):"
    r"|[\w.]+(?: serve)?: error: |nvcc fatal|fatal error: |Segmentation fault|(?:CUDA|HIP) error: "
)
"""How a line or a piece of one begins that may show why a run ended."""
_RECORD = re.compile(
    r"\s*(?:\([A-Za-z][\w ]* pid=\d+|\(?(?:EngineCore|APIServer|(?:Vllm)?Worker)\w*[) ]"
    r"|\[?(?:TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL)\b|\[?\d{4}-\d\d-\d\d|File \"|\{)"
)
"""How a line of a log begins: nothing in it is anybody's quotation."""
_OF_A_LOG = ("pid=", " ERROR ", " INFO ", "Traceback (most recent", 'File "')
"""What somebody's own sentence does not have."""
_FENCE = re.compile(r"(?P<indent>\s*)`{3,}[\w-]*\s*$")
_TAG = r"</?(?:details|summary|pre|code|br|p|div|blockquote)\b[^>]*>\s*"
_TAGS = re.compile(rf"^\s*(?:{_TAG})+")
_TAGS_AFTER = re.compile(rf"(?:{_TAG})+$")
_ENTITY = re.compile(r"&(?:quot|lt|gt|amp|#39|#x27|nbsp);")
_QUOTED = re.compile(r"(?:>[ ]?)+")
_MARK = re.compile(r"\s{0,3}(?:[-*+•]|\d{1,2}[.)]|#{1,6})\s+(?:\[[ xX]\]\s+)?")
"""A list's bullet or number, a heading."""
_STRONG = re.compile(
    r"^(\*\*|__|\*|`|[\"'“])(?=[^\s*_`])(?P<said>.*\S)(?:\1|”)(?P<rest>[.,;:]?.*)$"
)
_STRONG_NAME = re.compile(
    r"^(?:\*\*|`)(?P<name>[\w.]+(?:Error|Exception))(?::(?:\*\*|`)|(?:\*\*|`):) "
)
_LABEL = re.compile(r"(?:\*\*|__)[\w /()-]{1,40}(?::(?:\*\*|__)|(?:\*\*|__):?)\s+")
"""What a note puts before what it quotes: ``**Error:**``."""
_OPENED = re.compile(rf"[`\"'“(*](?P<said>(?:{_SHOWS.pattern}).*)$")
_SPAN = re.compile(r"(?<!`)(`{1,3})(?!`)(?P<said>.+?)\1(?!`)")
_ESCAPED = re.compile(r"\\\[[\w./]+\.py:\d+\\\]")
_ESCAPE = re.compile(r"\\([\[\]_*<>#|`~-])")
_WITHIN = re.compile(
    r"^(?!\s*(?:at|from|import|raise|except|return|if|for|with)\b)\S.*?(?:: |[—→] |=> |\bwith )"
    r"(?P<said>(?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|OutOfResources): \S.*)$"
)
"""Somebody's words, and then an exception."""
_ROW_OF_HEADS = re.compile(r"\s*\|?\s*:?-{3,}:?\s*(?:\|\s*:?-{3,}:?\s*)+\|?\s*$")
"""What is under the heads of a table."""
_ERROR = re.compile(r" (?:ERROR|CRITICAL) ")
_HALF = 0.5
LONGEST = 4000
"""Characters of a line that is looked into: what a person wrote is shorter."""


def unmarked(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines as a program printed them, where a page or a note shows them."""
    lines = _fenced(_unquoted(_unescaped(lines)))
    in_table = any("---" in line and _ROW_OF_HEADS.match(line) for line in lines)
    in_log = any(map(_is_of_a_log, lines))
    plain = [text for line in lines for text in _plain(line, in_table=in_table, in_log=in_log)]
    if any(map(_is_evidence, plain)):
        return plain
    return [_within(line) for line in plain]


def _is_of_a_log(line: str) -> bool:
    line = f" {line}"
    return any(mark in line for mark in _OF_A_LOG)


def _is_evidence(line: str) -> bool:
    if len(line) > LONGEST or _is_of_a_log(line):
        return True
    return _RECORD.match(line) is not None or _SHOWS.match(line) is not None


def _unescaped(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines without a page's entities, and the backslashes of a forum."""
    if any("&" in line and _ENTITY.search(line) for line in lines):
        lines = [html.unescape(line).replace("\xa0", " ") for line in lines]
    if any("\\[" in line and _ESCAPED.search(line) for line in lines):
        lines = [_ESCAPE.sub(r"\1", line) for line in lines]
    return lines


def _fenced(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines between fences, if an error is among them; what is around them is prose.

    Without the fences, and the indent that they have in a list. What a program printed may have
    fences as well (a model's answer): around those is a log.
    """
    fences = [_FENCE.match(line) for line in lines]
    number = len(fences) - fences.count(None)
    if not number:
        return lines
    if number % 2:
        return [line for line, fence in zip(lines, fences, strict=True) if fence is None]
    inside: list[str] = []
    around: list[str] = []
    whole: list[str] = []
    opening: re.Match[str] | None = None
    for line, fence in zip(lines, fences, strict=True):
        if fence is not None:
            opening = fence if opening is None else None
            continue
        text = line if opening is None else line.removeprefix(opening["indent"])
        (around if opening is None else inside).append(text)
        whole.append(text)
    if any(map(_is_of_a_log, around)):
        return whole
    shows = any(_SHOWS.match(line.lstrip()) or _ERROR.search(line) for line in inside)
    return inside if shows else whole


def _unquoted(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines without the ``>`` of a quotation, if it is one."""
    said = [line for line in lines if line.strip()]
    quoted = sum(line.startswith(">") for line in said)
    if not quoted:
        return lines
    if quoted > _HALF * len(said):
        return [_QUOTED.sub("", line, count=1) if line[:1] == ">" else line for line in lines]
    in_log = any(map(_is_of_a_log, (line for line in said if line[:1] != ">")))
    return [text for line in lines for text in _quotation(line, in_log=in_log)]


def _quotation(line: str, *, in_log: bool) -> Iterator[str]:
    """Yield a line; of a quotation of a log what it quotes, of one in a log nothing that shows."""
    quoted = line[:1] == ">" and len(line) <= LONGEST
    inside = _QUOTED.sub("", line, count=1) if quoted else line
    if inside is line or _is_of_a_log(inside) or inside[:1] == " ":
        yield inside
    elif not _is_evidence(inside):
        yield line
    elif not in_log:
        yield inside


def _plain(line: str, *, in_table: bool, in_log: bool) -> Iterator[str]:
    """Yield what a line quotes, each on a line of its own; or the line itself.

    A row of a table that shows nothing is no line of a log. Where there is a log, a sentence that
    quotes an error is no evidence: it may be a model's answer.
    """
    if len(line) > LONGEST or ("`" not in line and line[:1].isalpha() and "<" not in line):
        yield line
        return
    if "<" in line:
        line = _TAGS_AFTER.sub("", _TAGS.sub("", line))
    if _RECORD.match(line):
        yield line
        return
    text = line
    if (mark := _MARK.match(text)) is not None and not text[mark.end() :].startswith("|"):
        inside = _without_strong(text[mark.end() :])
        text = inside if _SHOWS.match(inside) or _RECORD.match(inside) else text
    else:
        text = _without_strong(text) if text[:1] in "*_`\"'“" else text
    if text.startswith("|") and text.rstrip().endswith("|") and text.count("|") > 2:
        cells = [_without_strong(cell.strip()) for cell in text.strip().strip("|").split("|")]
        shown = [cell for cell in cells if _SHOWS.match(cell)] or _code(line)
        if in_table or shown:
            yield from () if in_log else shown
        else:
            yield line
        return
    said = [] if _SHOWS.match(text) else _code(text)
    if not said and (text is line or not in_log or _RECORD.match(text)):
        yield text
    elif not in_log:
        yield from said


def _code(text: str) -> list[str]:
    """Return what shows an exception among the pieces of code of a sentence."""
    if "`" not in text:
        return []
    shown = [span for span in _SPAN.finditer(text) if _SHOWS.match(span["said"].lstrip())]
    if shown and not any(span[1] == "`" and span["said"].endswith(" ") for span in shown):
        return [span["said"].strip() for span in shown]
    opened = _OPENED.search(text)  # the code has code of its own
    return [opened["said"].rstrip("`*|. ")] if opened is not None else []


def _without_strong(text: str) -> str:
    """Return a text that is bold, code or in quotation marks as it is without, if it shows one."""
    if (label := _LABEL.match(text)) is not None and _SHOWS.match(text, label.end()):
        return text[label.end() :]
    if (name := _STRONG_NAME.match(text)) is not None:
        return f"{name['name']}: {text[name.end() :]}"
    found = _STRONG.match(text)
    if found is None or not _SHOWS.match(found["said"]):
        return text
    return found["said"]


def _within(line: str) -> str:
    """Return the exception that a sentence ends with, where no line is one by itself."""
    found = _WITHIN.match(line) if len(line) <= LONGEST else None
    return found["said"] if found is not None else line
