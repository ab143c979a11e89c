"""vLLM's page taken apart: families with their samples, each with the engine's label added.

Works on bytes, one regular expression a line: a full parser costs 14 ms a page (measured), and a
label value must come out byte for byte as it went in.
"""

import re
from collections.abc import Iterable

import attrs

_PREFIXES = (b"vllm:", b"http_")
_LORA = b"vllm:lora_requests_info"
"""A new series for every combination of adapters, never removed: it grows without bound. The value
is the time; the newest is what is true now."""

_META = re.compile(rb"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*)(?: (.*))?")
_SAMPLE = re.compile(
    rb"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    rb'(?:\{(?P<labels>(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,(?=[a-zA-Z_])|,?(?=\})))*)\})?'
    rb" (?P<value>[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|Inf|NaN))"
    rb"(?: -?[0-9]+)?"
)
_LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\\n]|\\[\\"n])*"')
_OURS = b"vllmd_engine"
_TYPES = frozenset({b"counter", b"gauge", b"histogram", b"summary", b"untyped"})
_SUFFIXES = (b"_bucket", b"_count", b"_sum", b"")

MOST = 1e15
"""More than an engine counts in its life; JSON has no infinity, and arithmetic would make one."""


@attrs.define
class Family:
    """One metric family: its samples are complete lines, without timestamps."""

    name: bytes
    type: bytes
    help: bytes
    samples: list[bytes] = attrs.field(factory=list)

    def owns(self, sample: bytes) -> bool:
        """Tell whether a sample of that name belongs here."""
        return any(sample == self.name + suffix for suffix in _SUFFIXES)


@attrs.frozen
class ParsedPage:
    """The families to pass on, and how many lines made no sense and were left out."""

    families: tuple[Family, ...]
    rejected_lines: int
    lora: bytes | None = None
    """The labels of the newest `vllm:lora_requests_info`."""
    lora_at: float = 0.0
    """The value of that one: its time."""


def parse_page(page: bytes, engine: str) -> ParsedPage:
    """Split a Prometheus text page and add `vllmd_engine="<engine>"` to every sample.

    Kept are vLLM's own families and its HTTP server's; `process_*` and `python_*` are left out
    because they would collide with the daemon's own, `_created` because nobody queries them.

    Raises: UnicodeDecodeError: the page is not UTF-8; the caller treats it as unreadable.
    """
    page.decode()
    label = b'%s="%s"' % (_OURS, engine.encode())
    families: dict[bytes, Family] = {}
    rejected, newest, lora = 0, 0.0, None
    last, family = b"", None  # most lines are of the same name as the one before
    for line in page.split(b"\n"):
        if line.startswith(b"#"):
            _read_meta(line, families)
            last = b""
            continue
        match = _SAMPLE.fullmatch(line)
        if match is None:
            rejected += bool(line and not line.isspace())
            continue
        name, inner, value = match.group("name", "labels", "value")
        if name != last:
            last, family = name, _family_of(name, families) if _wanted(name) else None
        if family is not None:
            inner = inner and inner.rstrip(b",")
            if inner and _has_a_label_twice(inner):  # Prometheus would refuse all of our page
                rejected += 1
                continue
            labels = label + b"," + inner if inner else label
            family.samples.append(b"%s{%s} %s" % (name, labels, value))
        elif name == _LORA and float(value) >= newest:
            newest, lora = float(value), inner
    return ParsedPage(tuple(f for f in families.values() if f.samples), rejected, lora, newest)


def _has_a_label_twice(labels: bytes) -> bool:
    """Tell whether a name stands twice among them, or is that of our own label."""
    names = _LABEL.findall(labels)
    return len({_OURS, *names}) != len(names) + 1


def _wanted(name: bytes) -> bool:
    return name.startswith(_PREFIXES) and not name.endswith(b"_created") and name != _LORA


def _read_meta(line: bytes, families: dict[bytes, Family]) -> None:
    match = _META.fullmatch(line)
    if match is None or not _wanted(match[2]):
        return
    # popped and put back: the family that is spoken of is always the last one
    family = families.pop(match[2], None) or Family(match[2], b"untyped", b"")
    families[match[2]] = family
    text = match[3] or b""
    if match[1] == b"HELP":
        family.help = text
    elif text.strip() in _TYPES:
        family.type = text.strip()


def _family_of(name: bytes, families: dict[bytes, Family]) -> Family | None:
    if families:
        last = families[next(reversed(families))]
        if last.owns(name):
            return last
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and (found := families.get(name[: len(name) - len(suffix)])):
            return found
    return families.setdefault(name, Family(name, b"untyped", b""))


def read_value(sample: bytes) -> float | None:
    """Return a sample's value; None for what is no count: not a number, below 0, beyond measure."""
    value = float(sample[sample.rindex(b" ") + 1 :])
    return value if 0 <= value <= MOST else None


def total(families: Iterable[Family], name: bytes) -> float | None:
    """Return the sum of a family's samples; None if there is no such family, or none is a count."""
    for family in families:
        if family.name == name:
            found = [v for sample in family.samples if (v := read_value(sample)) is not None]
            return sum(found) if found else None
    return None


def merge(pages: Iterable[Iterable[Family]]) -> list[Family]:
    """Join the families of several engines, each family once, as both formats demand.

    A family whose type differs between two engines (two releases of vLLM) keeps the first type;
    the other's samples would contradict it and are left out.
    """
    merged: dict[bytes, Family] = {}
    for families in pages:
        for family in families:
            known = merged.get(family.name)
            if known is None:
                copy = Family(family.name, family.type, family.help, list(family.samples))
                merged[family.name] = copy
            elif known.type == family.type:
                known.samples.extend(family.samples)
    return list(merged.values())
