"""vLLM's arguments, as a list of flags with their values. Pure.

Source: vllm/utils/argparse_utils.py: names may have underscores, a value may follow ``=``, and
``--no-NAME`` is false.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from vllmd.importing.known_flags import (
    ALIASES,
    LISTS,
    NAMES,
    OLD_LISTS,
    OLD_SWITCHES,
    REPEATED,
    SWITCHES,
)
from vllmd.installing.removed_flags import what_to_do

SHORT = {
    "-tp": "tensor-parallel-size",
    "-pp": "pipeline-parallel-size",
    "-dp": "data-parallel-size",
    "-pcp": "prefill-context-parallel-size",
    "-dcp": "decode-context-parallel-size",
    "-dpn": "data-parallel-rank",
    "-dpr": "data-parallel-start-rank",
    "-dpl": "data-parallel-size-local",
    "-dpa": "data-parallel-address",
    "-dpp": "data-parallel-rpc-port",
    "-dpb": "data-parallel-backend",
    "-dph": "data-parallel-hybrid-lb",
    "-dpe": "data-parallel-external-lb",
    "-dpm": "data-parallel-multi-port-external-lb",
    "-ep": "enable-expert-parallel",
    "-asc": "api-server-count",
    "-n": "nnodes",
    "-r": "node-rank",
    "-q": "quantization",
    "-sc": "speculative-config",
    "-ac": "attention-config",
    "-dc": "diffusion-config",
    "-O": "optimization-level",
    "-cc": "compilation-config",
}
"""Source: vllm/engine/arg_utils.py and vllm/entrypoints of 0.20 to 0.33."""
_THOUSANDS = {"k": 10**3, "K": 1 << 10, "m": 10**6, "M": 1 << 20, "g": 10**9, "G": 1 << 30}
_THOUSANDS |= {"t": 10**12, "T": 1 << 40}
_FLAG = re.compile(r"--?[A-Za-z]")


@attrs.frozen
class GivenFlag:
    """One flag as it was given."""

    name: str
    """Without its dashes, with dashes within; empty for a value that belongs to no flag."""
    values: tuple[str, ...]
    negated: bool = False

    @property
    def value(self) -> Any:
        """What it says: true or false, one value or a list, numbers and JSON as such."""
        if not self.values:
            return not self.negated
        if len(self.values) > 1 or self.name in LISTS | REPEATED:
            return list(self.values)
        return read_value(self.values[0])


def flags_of(arguments: Iterable[str]) -> list[GivenFlag]:
    """Return flags in their order; the first word that belongs to none is `model`.

    The values of one that is to be repeated are put together.
    """
    found: list[GivenFlag] = []
    named = False
    for each in _flags(list(arguments)):
        before = [other for other in found if other.name == each.name]
        if not each.name and not named:
            found.append(GivenFlag("model", each.values))
            named = True
        elif each.name in REPEATED and before:
            whole = GivenFlag(each.name, (*before[0].values, *each.values))
            found[found.index(before[0])] = whole
        else:
            found.append(each)
    return found


def models_of(arguments: Sequence[str]) -> tuple[str, str] | None:
    """Return both models where one is a word of its own and ``--model`` is there too."""
    found = {each.name: " ".join(each.values) for each in reversed(list(_flags(list(arguments))))}
    return (found[""], found["model"]) if "" in found and "model" in found else None


def _flags(words: list[str]) -> Iterator[GivenFlag]:
    while words:
        word = words.pop(0)
        if not _FLAG.match(word):
            yield GivenFlag("", (word,))
            continue
        name, equals, value = word.partition("=")
        glued = re.fullmatch(r"(-O)(\d\w*)", word)
        if glued:
            name, equals, value = glued[1], "=", glued[2]
        name = name_of(name)
        values = [value] if equals else _values(name, words)
        if name == "optimization-level" and values and values[0][:1] == "{":
            name = "compilation-config"  # what -O was once
        if not values and name.startswith("no-"):
            yield GivenFlag(name.removeprefix("no-"), (), negated=True)
        else:
            yield GivenFlag(name, tuple(values))


def _values(name: str, words: list[str]) -> list[str]:
    """Take the values of a flag off the words that follow it."""
    if name.removeprefix("no-") in SWITCHES | OLD_SWITCHES:
        # a word was taken too. Source: StoreBoolean in vllm/utils of 0.8.5
        told = words[:1] and words[0].lower() in ("true", "false")
        return [words.pop(0)] if told else []
    values: list[str] = []
    while words and not _FLAG.match(words[0]) and (not values or name in LISTS | OLD_LISTS):
        values.append(words.pop(0))
    return values


def name_of(word: str) -> str:
    """Return a flag's long name, without its dashes, from what was written."""
    base, dot, rest = word.partition(".")
    if base == "-O" and dot:
        base = "-cc"  # what -O was once
    name = SHORT.get(base, base.lstrip("-").replace("_", "-"))
    if name not in NAMES and base.startswith("--"):
        name = _whole(name)
    return f"{ALIASES.get(name, name)}{dot}{rest}"


def _whole(name: str) -> str:
    """Return the one flag that an abbreviation may stand for, as argparse does, or the name."""
    negated = name.startswith("no-")
    known = {f"no-{each}" for each in SWITCHES} if negated else NAMES
    found = [each for each in known if each.startswith(name)]
    return found[0] if len(found) == 1 and not what_to_do(name) else name


def read_value(text: str) -> Any:
    """Read a value as the type that it looks like; a number with a k stays what it means."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", text):
        return int(float(found[1]) * _THOUSANDS[found[2]])
    if re.fullmatch(r"[-+]?\.\d+|[-+]?\d+\.", text):
        return float(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if value is None else value


def last_of(flags: Sequence[GivenFlag], name: str) -> Any:
    """Return the value of a flag that is given: the last, as vLLM takes it; None if it is not."""
    return next((each.value for each in reversed(flags) if each.name == name), None)
