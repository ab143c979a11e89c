"""What a script's usual filters make of a text: ``echo $GPUS | tr , '\\n' | wc -l``. Pure."""

import re
from collections.abc import Callable, Sequence


def filtered(words: Sequence[str], text: str) -> str | None:
    """Return what a command prints that reads a text; None if it, or its options, are not read."""
    handler = _FILTERS.get(words[0])
    return None if handler is None else handler(list(words[1:]), text)


def _tr(words: list[str], text: str) -> str | None:
    options = "".join(words.pop(0)[1:] for _ in list(words) if words and words[0][:1] == "-")
    sets = [_characters(each) for each in words]
    if None in sets or not 1 <= len(sets) <= 2 or not set(options) <= set("cdCs"):
        return None
    first, second = sets[0] or "", sets[1] if len(sets) > 1 else None
    others = "c" in options.lower()
    if "d" in options and "s" not in options and second is None:
        return "".join(each for each in text if (each in first) is others)
    if options or not second:
        return None
    return text.translate(
        dict(zip(map(ord, first), second.ljust(len(first), second[-1]), strict=False))
    )


def _characters(word: str) -> str | None:
    """Return the characters of a set; None for a class that is not read."""
    known = {"[:lower:]": "a-z", "[:upper:]": "A-Z", "[:digit:]": "0-9", "[:space:]": " \\t\\n"}
    plain = known.get(word, word)
    if "[:" in plain:
        return None
    plain = plain.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")

    def spread(found: re.Match[str]) -> str:
        return "".join(map(chr, range(ord(found[1]), ord(found[2]) + 1)))

    return re.sub(r"(\w)-(\w)", spread, plain)


def _wc(words: list[str], text: str) -> str | None:
    match words:
        case ["-l"]:
            return f"{text.count(chr(10))}\n"
        case ["-w"]:
            return f"{len(text.split())}\n"
        case ["-c"]:
            return f"{len(text.encode())}\n"
        case ["-m"]:
            return f"{len(text)}\n"
    return None


def _cut(words: list[str], text: str) -> str | None:
    found = re.fullmatch(r"-d ?(.)\n-f ?(\d+)(-?)(\d*)", _paired(words))
    if not found:
        return None
    first = int(found[2]) - 1
    last = int(found[4]) if found[4] else (None if found[3] else first + 1)
    cut = (
        found[1].join(line.split(found[1])[first:last]) if found[1] in line else line
        for line in text.splitlines()
    )
    return "".join(f"{line}\n" for line in cut)


def _paired(words: list[str]) -> str:
    """Return options of one letter with their values, the delimiter first."""
    pairs: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        pairs.append(f"{word} {waiting.pop(0)}" if len(word) == 2 and waiting else word)
    return "\n".join(sorted(pairs))


def _part(*, last: bool) -> Callable[[list[str], str], str | None]:
    def take(words: list[str], text: str) -> str | None:
        found = re.fullmatch(r"(-n)? ?-?(\d+)?", " ".join(words))
        if not found or (found[1] and not found[2]):
            return None
        count, lines = int(found[2] or 10), text.splitlines(keepends=True)
        return "".join(lines[-count:] if last and count else lines[:count])

    return take


def _awk(words: list[str], text: str) -> str | None:
    """Print one field of each line, or how many there are."""
    found = re.fullmatch(
        r"(?:-F ?(?P<by>\S) )?\{ ?print (?P<what>NF|\$(?:\d+|NF)) ?;? ?\}", " ".join(words)
    )
    if not found:
        return None
    printed = []
    for line in text.splitlines():
        fields = line.split(found["by"])
        at = len(fields) if found["what"] == "$NF" else int(found["what"].strip("$NF") or 0)
        whole = line if not at else (fields[at - 1] if at <= len(fields) else "")
        printed.append(str(len(fields)) if found["what"] == "NF" else whole)
    return "".join(f"{each}\n" for each in printed)


def _grep(words: list[str], text: str) -> str | None:
    """Print what fits plain characters, or the lines that do not: ``grep -v '^#'``."""
    match words:
        case ["-v" | "-Ev" | "-vE", pattern] if re.fullmatch(
            r"\^[\w#;$ ]*|\^\\s\*[#;]|[\w#;]+", pattern
        ):
            kept = (line for line in text.splitlines() if not re.search(pattern, line))
            return "".join(f"{line}\n" for line in kept)
        case ["-o", plain] if re.fullmatch(r"[\w,:;/ -]+", plain):
            return f"{plain}\n" * text.count(plain)
    return None


_FILTERS: dict[str, Callable[[list[str], str], str | None]] = {
    "tr": _tr,
    "wc": _wc,
    "cut": _cut,
    "head": _part(last=False),
    "tail": _part(last=True),
    "awk": _awk,
    "grep": _grep,
    "cat": lambda words, text: text if not words else None,
    "xargs": lambda words, text: f"{' '.join(text.split())}\n" if not words else None,
}
