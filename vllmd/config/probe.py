"""`[engines.NAME.probe]`: is the answer right? When an engine is asked, and what a wrong one does.

What vLLM needs for that, by its source (0.32): a model that generates text, log-probabilities and
not logits (`--logprobs-mode`), and as many of them as are asked for (`--max-logprobs`, 20).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from vllmd.config import rules
from vllmd.config.problem import TableProblem
from vllmd.config.rules import key
from vllmd.util.units import DAY_S, HOUR_S, MINUTE_S

if TYPE_CHECKING:
    from vllmd.config.model import EngineConfig

TOP = 5
"""Most likely tokens that are asked for at each place."""
ALERT, DRAIN, RESTART = "alert", "drain", "restart"
_LOGPROBS = ("raw_logprobs", "processed_logprobs")
_UNBOUNDED = -1


@attrs.frozen
class ProbeConfig:
    """How the answers of an engine are looked at: the table turns it on."""

    every_s: float = key(
        rules.number(MINUTE_S, 30 * DAY_S),
        float(HOUR_S),
        help="How often an idle engine is asked, in seconds; a busy one half as often. It is asked "
        "after each start and wake, too, and after an Xid or an ECC error of its GPUs.",
        reason="Five prompts of sixteen tokens: a second or two of an idle engine.",
    )
    on_mismatch: str = key(
        rules.matching(f"{ALERT}|{DRAIN}|{RESTART}", f'"{ALERT}", "{DRAIN}" or "{RESTART}"'),
        ALERT,
        help="What wrong answers do: an alert; an alert and /ready red, until the answers are "
        "right again (drain); an alert and another start, once, then as drain (restart).",
        reason="A wrong alarm that drains is an outage: look at what it finds first.",
    )
    tolerance: float = key(
        rules.number(0, 10, above=True),
        0.15,
        help="How far the answers may be from the reference, in nats: the mean difference of "
        "log-probabilities, each weighted by its probability. It is wider where the answers "
        "differed by more among themselves when they were recorded.",
        reason="An estimate: with the CPU build sound answers were 0.0000 apart, and those of a "
        "layer that is off by half 2.64 (docs/probe.md); no GPU was measured.",
    )


def problems(engines: Mapping[str, "EngineConfig"]) -> Iterator[TableProblem]:
    """Yield what keeps the tables from what they are for."""
    for name, engine in engines.items():
        for problem in _of_one(engine) if engine.probe is not None else ():
            yield attrs.evolve(problem, key=("engines", name, *problem.key))


def _of_one(engine: "EngineConfig") -> Iterator[TableProblem]:
    flags, fix = engine.flags, "take it out, or the table probe"
    mode, most = flags.get("logprobs-mode"), flags.get("max-logprobs")
    if mode is not None and mode not in _LOGPROBS:
        message = f"{mode!r} gives no probabilities, which a probe compares"
        yield TableProblem(("flags", "logprobs-mode"), message, fix)
    if isinstance(most, int) and most != _UNBOUNDED and most < TOP:
        message = f"{most} is less than the {TOP} log-probabilities that a probe asks for"
        yield TableProblem(("flags", "max-logprobs"), message, f"set it to {TOP} or more")
    for flag, values in (("runner", ("pooling",)), ("task", ("embed", "classify", "score"))):
        if flags.get(flag) in values:
            message = f"{flags[flag]!r} generates no text, and a probe looks at that"
            yield TableProblem(("flags", flag), message, "take the table probe out")
