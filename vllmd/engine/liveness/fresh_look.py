"""One more look at an engine before something is done to it, by a process that is not late itself.

The daemon may be late without knowing it. A process that lives for a second and does nothing else
asks again; if it cannot be started, is late too, or makes no sense, nobody knows, and nothing is
done.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.engine.liveness import look_process
from vllmd.engine.liveness.canary import RANK
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading
from vllmd.engine.liveness.stall_detector import Assessment
from vllmd.util import child_process
from vllmd.util.loop_lag import LoopLag

LIMIT_S = 5.0
"""As long as the daemon itself waits for a page."""
START_S = 1.0
"""What a Python without modules may take to start (0.02 s measured)."""
LATE_S = 1.0
"""One that was later than this in all has heard nothing that counts against an engine."""
END_S = 30.0
PROGRAM = [sys.executable, "-I", "-S", "-B", str(look_process.__file__)]


@attrs.frozen
class FreshLook:
    """What was seen; with `PageAnswer.UNKNOWN` the `problem` says why nothing was."""

    answer: PageAnswer
    ranks: Mapping[str, RankProgress] = MappingProxyType({})
    answered: bool = False
    """Whether it answered at all, a page or not."""
    canary: bool = False
    """Whether it answered a canary."""
    paused: bool = False
    """Whether it says that it was paused, so that no step is to be expected."""
    problem: str = ""


def confirms(fresh: FreshLook, first: Reading, assessment: Assessment) -> bool:
    """Tell whether a fresh look shows the same as the reading that an engine was found stalled by.

    Silence is confirmed by silence; standing still by the very same counts of steps and tokens,
    with requests left, if only the one that it was asked for; a canary without an answer also by
    none to a second one. One that says that it is paused is not stalled.
    """
    if first.answer is not PageAnswer.PAGE:
        return not fresh.answered and fresh.answer in (PageAnswer.NONE, PageAnswer.REFUSED)
    if fresh.answer is not PageAnswer.PAGE or fresh.paused or assessment.rank is None:
        return False
    if assessment.rank == RANK:
        before = {name: (r.steps, r.tokens) for name, r in first.ranks.items() if name != RANK}
        now = {name: (r.steps, r.tokens) for name, r in fresh.ranks.items()}
        return now == before and not fresh.canary
    before_rank, rank = first.ranks.get(assessment.rank), fresh.ranks.get(assessment.rank)
    if before_rank is None or rank is None:
        return False
    if assessment.asked:
        return (rank.steps, rank.tokens) == (before_rank.steps, before_rank.tokens)
    return rank.stands(before_rank)


def has_moved_on(fresh: FreshLook, first: Reading, assessment: Assessment) -> bool:
    """Tell whether a fresh look shows other counts of the rank that was found to stand still."""
    if assessment.rank is None:
        return False
    before, now = first.ranks.get(assessment.rank), fresh.ranks.get(assessment.rank)
    if before is None or now is None:
        return False
    return (before.steps, before.tokens) != (now.steps, now.tokens)


async def look(
    host: str,
    port: int,
    keep: Sequence[str],
    read: Callable[[str], Mapping[str, RankProgress]],
    lag: LoopLag,
    canary: Mapping[str, Any] | None = None,
    program: Sequence[str] = tuple(PROGRAM),
) -> FreshLook:
    """Have a process look at the engine on a port, and read what it says.

    `keep` are the beginnings of the lines of its page that `read` is given.
    """
    wanted = {
        "host": host,
        "port": port,
        "limit_s": LIMIT_S,
        "start_s": START_S,
        "asked_at": time.monotonic(),
        "keep": list(keep),
        "canary": canary,
    }
    try:
        said = await _say(program, json.dumps(wanted).encode() + b"\n", lag)
        return _parse_answer(json.loads(said), read)
    except (OSError, RuntimeError) as error:  # RuntimeError: no thread to wait for it
        problem = f"the process that looks afresh could not be started: {error}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"the process that looks afresh made no sense: {error!r}"
    return FreshLook(PageAnswer.UNKNOWN, problem=problem)


def _parse_answer(
    said: dict[str, Any], read: Callable[[str], Mapping[str, RankProgress]]
) -> FreshLook:
    """Take what the process said for what it is worth.

    Raises: ValueError, KeyError, TypeError, AttributeError: it makes no sense.
    """
    if said["version"] != look_process.VERSION:
        raise ValueError(f"version {said['version']!r}, not {look_process.VERSION}")
    answer, canary = said["answer"], bool(said["canary"])
    if answer in ("page", "other"):
        ranks = read(said["page"])
        known = PageAnswer.PAGE if answer == "page" else PageAnswer.NONE
        paused = said.get("paused") is True
        return FreshLook(known, ranks, answered=True, canary=canary, paused=paused)
    if answer == "unknown":
        return FreshLook(PageAnswer.UNKNOWN, problem=f"it could not be asked: {said['problem']}")
    if said["late_s"] > LATE_S and answer != "refused":
        problem = "the process that looks afresh was late itself: the host is overloaded"
        return FreshLook(PageAnswer.UNKNOWN, problem=problem)
    return FreshLook(PageAnswer(answer), answered=canary, canary=canary)


async def _say(program: Sequence[str], line: bytes, lag: LoopLag) -> bytes:
    """Run the process on a line, and return its answer.

    Raises: OSError: it cannot be started, or does not end.
    """
    process = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
    )
    talking = asyncio.ensure_future(process.communicate(line))
    try:
        if not await lag.wait(talking, END_S):
            raise TimeoutError(f"it did not end within {END_S:g} s")
        return talking.result()[0]
    finally:
        talking.cancel()
        await child_process.end(process)
