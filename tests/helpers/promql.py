"""A linter for what promtool does not see: lost hosts, divisions by zero, wrong units."""

import re
from collections.abc import Iterator

AGGREGATION = re.compile(r"\b(sum|max|min|avg|count|group|stddev)\b(\s*by\s*\(([^)]*)\))?\s*\(")
MATCHING = re.compile(r"\b(?:on|ignoring)\s*\(([^)]*)\)")
COUNTER = re.compile(r"(\w*)\(\s*(vllmd\w*_(?:total|count|bucket))\b")
ANY_COUNTER = re.compile(r"\bvllmd\w*_(?:total|count|bucket)\b")
THERE = re.compile(r"\bon \([^)]*\) last_over_time\((vllmd\w*)(?:\{[^}]*\})?\[\w+\]\)(?!\s*[<>=!])")
"""A counter of which it matters whether it is there."""
RATIO = re.compile(r"[\w:]*ratio\w*\b(?:\{[^}]*\})?(?:\[[^\]]*\])?\)*\s*[<>]=?\s*([\d.e+]+)")
_OF_HOSTS = {"instance", "fleet", "group"}
"""What a series of a host, or of several on purpose, keeps."""
OVER_TIME = {"rate", "increase", "changes", "resets"}


def complaints(expr: str, *, may_look_at: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield what is wrong; `may_look_at` names counters whose value itself is meant."""
    plain = _without_strings(expr)
    for found in AGGREGATION.finditer(plain):
        if not _OF_HOSTS & set(re.findall(r"\w+", found[3] or "")):
            yield f"{found[1]} forgets the host: by ({found[3] or ''})"
    for found in MATCHING.finditer(plain):
        if not _OF_HOSTS & set(re.findall(r"\w+", found[1])):
            yield f"hosts are mixed: on ({found[1]})"
    yield from _divisions(plain)
    read = {found[2] for found in COUNTER.finditer(plain) if found[1] in OVER_TIME}
    read |= set(THERE.findall(plain))
    for name in ANY_COUNTER.findall(plain):
        if name not in read | may_look_at:
            yield f"{name} is a counter, and its value alone says nothing"
    for bound in RATIO.findall(plain):
        if not 0 <= float(bound) <= 1:
            yield f"a ratio is compared with {bound}"


def _without_strings(expr: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)


def _divisions(plain: str) -> Iterator[str]:
    """A divisor is a number, or a parenthesis that leaves out zeros."""
    for found in re.finditer(r"/\s*(?:on\s*\([^)]*\)\s*(?:group_\w+\s*\(\s*\w*\s*\))?)?\s*", plain):
        rest = plain[found.end() :]
        if re.match(r"\d", rest):
            continue
        if not rest.startswith("(") or not re.search(r"> 0\s*$", _inside(rest)):
            yield f"a division by what may be zero: / {rest[:40]}"


def _inside(text: str) -> str:
    depth = 0
    for index, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return text[1:index]
    return ""
