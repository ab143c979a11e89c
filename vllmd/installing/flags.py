"""The flags that one version of vLLM takes, and what in a configuration it would refuse. Pure.

They are the parser's own, read once from that version (`probe.py`): no list of ours can be right
for every version.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from vllmd.config.flags import OWN_KEYS, arguments
from vllmd.config.model import EngineConfig
from vllmd.config.problem import ConfigProblem, ProblemSeverity
from vllmd.config.rules import suggest
from vllmd.installing.removed_flags import are_opposite, what_to_do

_FITS: Mapping[str, tuple[str, str]] = {
    "integer": (r"[+-]?\d+", "a whole number"),
    "size": (r"[+-]?\d+(\.\d+)?[kKmMgGtT]?|auto", "a whole number, or one such as 32k"),
    "number": (r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan", "a number"),
}


@attrs.frozen
class Flag:
    """One flag of `vllm serve`."""

    names: tuple[str, ...]
    """With their dashes, the usual one first; a `--no-…` among them can be negated."""
    short: tuple[str, ...]
    takes: str
    """`nothing`, `text`, `integer`, `size`, `number`, `json`, or `other`."""
    many: bool
    """It takes several values."""
    optional: bool
    """It may stand without a value."""
    choices: tuple[str, ...]
    default: Any
    deprecated: bool
    help: str


@attrs.frozen
class FlagTable:
    """All flags of one version."""

    version: str
    flags: tuple[Flag, ...]

    @property
    def by_name(self) -> Mapping[str, Flag]:
        """Each flag by each of its long names, without the dashes."""
        return {name.lstrip("-"): flag for flag in self.flags for name in flag.names}


def read(probed: Mapping[str, Any]) -> FlagTable | None:
    """Return the table of what the probe printed; None if it is of another vllmd."""
    try:
        flags = tuple(
            Flag(
                **{
                    **each,
                    **{key: tuple(each[key]) for key in ("names", "short", "choices")},
                }
            )
            for each in probed["flags"]
        )
        return FlagTable(str(probed["version"]), flags)
    except (KeyError, TypeError):
        return None


def problems(engine: EngineConfig, table: FlagTable) -> Iterator[ConfigProblem]:
    """Yield what that version would refuse of an engine's flags and keys, or drop in the next."""
    known = table.by_name
    for name, value in engine.flags.items():
        yield from _flag_problems(engine.name, name, value, table, known)
    given = [arg[2:] for arg in arguments(engine) if arg.startswith("--")]
    for flag, key in OWN_KEYS.items():
        if flag in given and flag not in known:
            yield ConfigProblem(
                f"vLLM {table.version} has no --{flag}, which this key sets",
                "use a version that has it, or take the key out",
                f"engines.{engine.name}.{key}",
            )


def _flag_problems(
    engine: str, name: str, value: Any, table: FlagTable, known: Mapping[str, Flag]
) -> Iterator[ConfigProblem]:
    where = f"engines.{engine}.flags.{name}"
    base = name.partition(".")[0]
    flag = known.get(base.replace("_", "-"))
    if flag is None:
        like = [name for name in known if not are_opposite(base, name)]
        shown = f"'vllmd engine flags --grep {base.split('-')[0]}' shows what there is"
        fix = what_to_do(base) or suggest(base, like) or shown
        yield ConfigProblem(f"vLLM {table.version} has no flag --{base}", fix, where)
        return
    if flag.deprecated:
        yield ConfigProblem(
            f"vLLM {table.version} says of --{base}: {flag.help.rstrip('.')}",
            "replace it before the next version",
            where,
            severity=ProblemSeverity.WARNING,
        )
    wrong = None if "." in name else _misfit(flag, base, value)
    if wrong is not None:
        got, expects = wrong
        yield ConfigProblem(
            f"got {got!r} for --{base}", f"vLLM {table.version} takes {expects}", where
        )


def _misfit(flag: Flag, name: str, value: Any) -> tuple[Any, str] | None:
    """Return what does not fit and what would; None if all is well."""
    if value is False:
        possible = f"--no-{name}" in flag.names
        return None if possible else (value, f"no --no-{name}: take the line out")
    if value is True:
        fits = flag.optional or (flag.takes in ("text", "other") and not flag.choices)
        return None if fits else (value, _expected(flag))
    if flag.takes == "nothing":
        return value, "no value: true or false"
    if isinstance(value, list) and not flag.many:
        return value, f"one value: {_expected(flag)}"
    each = value if isinstance(value, list) and flag.many else [value]
    for item in each:
        if not _fits(flag, item):
            return item, _expected(flag)
    return None


def _fits(flag: Flag, value: Any) -> bool:
    if flag.choices:
        return str(value) in flag.choices
    if flag.takes in _FITS:
        return bool(re.fullmatch(_FITS[flag.takes][0], str(value)))
    return True


def _expected(flag: Flag) -> str:
    if flag.choices:
        return f"one of {', '.join(flag.choices)}"
    if flag.takes in _FITS:
        return _FITS[flag.takes][1]
    return "a table, or JSON in a string" if flag.takes == "json" else "a value"
