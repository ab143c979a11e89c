"""vLLM's arguments, as a list of flags with their values. Pure.

Source: vllm/utils/argparse_utils.py: names may have underscores, a value may follow ``=``, and
``--no-NAME`` is false.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

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
LISTS = frozenset({"served-model-name", "lora-modules", "api-key"})
"""Always lists, however many values there are."""
_THOUSANDS = {"k": 1000, "K": 1024, "m": 1_000_000, "M": 1 << 20, "g": 10**9, "G": 1 << 30}
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
        if len(self.values) > 1 or self.name in LISTS:
            return list(self.values)
        return read_value(self.values[0])


def flags_of(arguments: Iterable[str]) -> list[GivenFlag]:
    """Return flags in their order; the model that stands first is `model`."""
    return list(_flags(list(arguments)))


def _flags(words: list[str]) -> Iterator[GivenFlag]:
    if words and not words[0].startswith("-"):
        yield GivenFlag("model", (words.pop(0),))
    while words:
        word = words.pop(0)
        if not _FLAG.match(word):
            yield GivenFlag("", (word,))
            continue
        name, equals, value = word.partition("=")
        glued = re.fullmatch(r"(-O|-tp|-pp|-dp)(\d\w*)", word)
        if glued:
            name, equals, value = glued[1], "=", glued[2]
        name = name_of(name)
        values = [value] if equals else []
        while not equals and words and not _FLAG.match(words[0]):
            values.append(words.pop(0))
            if name not in LISTS and len(values) == 1 and (not words or words[0].startswith("-")):
                break
        if name == "optimization-level" and values and values[0][:1] == "{":
            name = "compilation-config"  # what -O was once
        if not values and name.startswith("no-"):
            yield GivenFlag(name.removeprefix("no-"), (), negated=True)
        else:
            yield GivenFlag(name, tuple(values))


def name_of(word: str) -> str:
    """Return a flag's long name, without its dashes, from what was written."""
    base, dot, rest = word.partition(".")
    name = SHORT.get(base, base.lstrip("-").replace("_", "-"))
    return f"{name}{dot}{rest}"


def read_value(text: str) -> Any:
    """Read a value as the type that it looks like; a number with a k stays what it means."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG])", text):
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
