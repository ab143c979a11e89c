"""The choice among causes: along the chain that ended the run, from its root outward.

Layers, of which the first that names a cause decides: what vllmd saw itself; the signs in the
chain, the most specific first; facts of the host (`marks`, `prior`); the class of an exception of
the chain and who raised it; how the process ended. What else was printed before the root may only
be a suspicion: the verdict stays ``unknown``, and says what it may be. Pure: no I/O.
"""

import re
from collections.abc import Sequence
from typing import TypeGuard

import attrs

from vllmd.engine.causes.accelerators import NOT_OF_THE_CODE
from vllmd.engine.causes.base import WALLS, Cause, Diagnosis, Facts, Found, Kind, Rank, bare
from vllmd.engine.log_reading.entries import LOUD
from vllmd.engine.log_reading.phase import Phase, is_of_a_start
from vllmd.engine.log_reading.reading import OutputReading
from vllmd.engine.log_reading.serving import at_work
from vllmd.engine.log_reading.sign import Sign

_WORDS = {
    Phase.ARGUMENTS: "while it read its arguments",
    Phase.IMPORTS: "while it imported its modules",
    Phase.CONFIGURATION: "while it made its configuration",
    Phase.DOWNLOAD: "while the model was downloaded",
    Phase.LOADING: "while the model was loaded",
    Phase.PROFILING: "while the model was tried out for its memory",
    Phase.WARM_UP: "while the engine warmed up",
    Phase.SERVING: "while it served",
    Phase.DRAINING: "while it ended",
}
_CODES = {
    "0": "exit code 0, which vLLM has also when its engine died",
    "1": "exit code 1: an exception that nothing caught",
    "2": "exit code 2: arguments that were not understood",
    "126": "exit code 126: a program that cannot be executed",
    "127": "exit code 127: a program that is not there",
}


_OF_A_START = re.compile(r"failed to start|initialization failed|Failed core proc|Process failed")
"""What vLLM says of an engine that never served."""
_NAMES_A_SETTING = re.compile(
    r"\b(?i:set|disable|enable|use|pass|remove|without|lower|raise|increase|reduce)\b.{0,60}?"
    r"(?:(?<![\w-])-{1,2}[a-z]\w*(?:[.-]\w+)+|\bVLLM_[A-Z]\w+)"
)
"""Words that ask for another setting: who says so refuses what it was given, at whatever time."""
MOST_SIGNS = 400
_OF_AN_ENGINE = re.compile(r"EngineCore|(?:Vllm)?Worker")
BUG = "engine_bug"
"""The cause of an exception that none of the others is known by."""


def choose(causes: Sequence[Cause], facts: Facts) -> Diagnosis | None:
    """Return the diagnosis of the cause that fits best, or None."""
    reading = facts.reading
    for cause in causes:
        if cause.rank == Rank.SEEN and cause.marked(facts):
            return _refined(causes, facts, cause.diagnosis(facts, None))
    best = _best(causes, facts)
    if best is None:
        ended = _refined(causes, facts, _end(causes, facts))
        return ended or _suspicion(causes, facts)
    for cause in causes:
        if best[0].name in cause.refines and (lines := cause.hinted(reading)):
            shown = (best[1].line,) if best[1] else ()
            return cause.diagnosis(facts, None, evidence=(*lines, *shown))
    of_nccl = best[0].name == "nccl_failure"
    warned = [entry.text for entry in reading.hints if of_nccl and entry.place == "NCCL"]
    if best[1] is not None and best[0].rank == Rank.CLASS:
        named = best[0].diagnosis(facts, best[1])
        if best[0].weak or (named.kind in WALLS and best[0].starting and _may_be_work(best[1])):
            return suspected(named)
    named = best[0].diagnosis(facts, best[1], evidence=tuple(warned[:1]))
    if best[1] is not None and best[0].starting and named.kind in WALLS and _was_at_work(best[1]):
        return _of_work(named, best[1])
    return named


def _of_work(named: Diagnosis, found: Found) -> Diagnosis:
    """Return what is certain of a refusal that may have ended an engine which served."""
    if _NAMES_A_SETTING.search(found.whole):
        return attrs.evolve(named, kind=Kind.TRANSIENT)
    return suspected(named)


def _was_at_work(found: Found) -> bool:
    """Tell whether a worker that had started said it, and nothing says that the engine started."""
    return "hit an exception" in _header(found.sign) and _may_be_work(found)


def _refined(causes: Sequence[Cause], facts: Facts, ended: Diagnosis | None) -> Diagnosis | None:
    """Return why it came to such an end, if what was printed before says so."""
    for cause in causes:
        if ended is None or ended.cause not in cause.refines:
            continue
        if lines := cause.hinted(facts.reading):
            return cause.diagnosis(facts, None, evidence=(*lines, *ended.evidence))
    return ended


def _best(causes: Sequence[Cause], facts: Facts) -> tuple[Cause, Found | None] | None:
    """Return the cause that the chain names, or a fact of the host, or its exceptions' classes."""
    reading = facts.reading
    chain = few(reading.chain, reading.root)
    classes = [cause for cause in causes if cause.rank == Rank.CLASS]
    named = [cause for cause in causes if cause.rank < Rank.CLASS]
    own = [sign for sign in chain if sign.is_own]
    best = _first(named, reading, own or chain)
    if best is not None and best[0].of_peers and _other_failed_before(best, own):
        best = _first([cause for cause in named if not cause.of_peers], reading, own)
    for cause in named:
        if cause.marked(facts) and (best is None or cause.rank < best[0].rank):
            return cause, None
    priors = [cause for cause in named if cause.prior]
    best = best or _first(priors, reading, few(reading.outside, reading.root))
    if best is not None:
        return best[0], _with_details(best[0], best[1], reading)
    return _by_class(classes, reading, chain)


def _first(
    causes: Sequence[Cause], reading: OutputReading, signs: Sequence[Sign]
) -> tuple[Cause, Found] | None:
    """Return the cause with the most specific sign, of two the one nearer to the root."""
    place = {id(sign): number for number, sign in enumerate(signs)}
    best: tuple[tuple[int, int], Cause, Found] | None = None
    for cause in causes:
        if (found := cause.found(reading, signs)) is not None:
            at = (int(cause.rank), place[id(found.sign)])
            if best is None or at < best[0]:
                best = (at, cause, found)
    return best[1:] if best else None


def _by_class(
    causes: Sequence[Cause], reading: OutputReading, chain: Sequence[Sign]
) -> tuple[Cause, Found] | None:
    """Return what the class of an exception of the chain tells, the nearest to the root first.

    What may be of several causes comes after what is of one.
    """
    for sign in chain:
        if sign.echo:
            continue
        for cause in sorted(causes, key=lambda each: each.weak):
            if (found := cause.found(reading, [sign])) is not None:
                return cause, found
    return None


def _other_failed_before(best: tuple[Cause, Found], own: Sequence[Sign]) -> bool:
    """Tell whether another process had failed by an exception of its own before one missed it."""
    cause, found = best
    first = next(iter(own), None)
    if first is None or first is found.sign or first.thrown is None:
        return False
    other = first.entry.process != found.sign.entry.process
    return other and cause.found(found.reading, [first]) is None


def _with_details(cause: Cause, found: Found, reading: OutputReading) -> Found:
    """Return the sign of the same cause that was printed before: a compiler says what it misses."""
    before = [sign for sign in reading.outside if sign.thrown is None]
    return cause.found(reading, few(before, None)) or found


def _suspicion(causes: Sequence[Cause], facts: Facts) -> Diagnosis | None:
    """Say what it may be, if an error that is of no chain shows a cause before the root.

    What vLLM logged, and went on after, is none.
    """
    reading = facts.reading
    before = [sign for sign in reading.outside if not _went_on_after(sign, reading)]
    named = [cause for cause in causes if cause.rank < Rank.CLASS]
    best = _first(named, reading, few(before, None))
    return suspected(best[0].diagnosis(facts, best[1])) if best else None


def _may_be_work(found: Found) -> bool:
    """Tell whether nothing of a log says that an exception came in a start.

    Its beginning is cut, or the beginning of its traceback: an engine that served may have ended
    by it.
    """
    thrown = found.sign.thrown
    if thrown is None or thrown.is_main or thrown.at_import or is_of_a_start(thrown):
        return False
    if "__init__" in thrown.functions:  # what serves makes no models
        return False
    said = (line for sign in found.reading.signs for line in (sign.lines[0], _header(sign)))
    if any(map(_OF_A_START.search, said)):
        return False
    return found.phase in (Phase.UNKNOWN, Phase.SERVING)


def _header(sign: Sign) -> str:
    return sign.thrown.header if sign.thrown else ""


def suspected(found: Diagnosis) -> Diagnosis:
    """Return a diagnosis as a suspicion: it names no cause, and says which it may be.

    Nor does it hold an engine at once: another start is worth it, and shows whether it comes again.
    """
    words = found.explanation[:1].lower() + found.explanation[1:]
    return attrs.evolve(
        found,
        cause="unknown",
        kind=found.kind if found.kind is Kind.TRANSIENT else Kind.UNKNOWN,
        perhaps=found.cause,
        explanation=f"Not certain; perhaps {found.cause}: {words}",
    )


def _went_on_after(sign: Sign, reading: OutputReading) -> bool:
    """Tell whether a start went on after an error that vLLM logged: an exception ended it later.

    Such lines are of parts that it does without: kernels that are not there, an attention backend.
    """
    root = reading.root
    if root is None or root.thrown is None or not root.thrown.has_traceback or reading.ready:
        return False
    earlier = sign.index < root.index and sign.entry.stream != root.entry.stream
    return earlier and sign.is_logged


def _distinct(signs: Sequence[Sign]) -> list[Sign]:
    """Return the first of those that say the same: each stream of an engine may have failed."""
    first: dict[tuple[object, ...], Sign] = {}
    for sign in signs:
        each = sign.thrown
        whence = (each.header, each.files, each.functions) if each is not None else ()
        first.setdefault((sign.lines, *whence), sign)
    return list(first.values())


def few(signs: Sequence[Sign], root: Sign | None) -> list[Sign]:
    """Return the distinct signs that causes are looked for in: with the root, at most `MOST_SIGNS`.

    Of more, the first and the last: each cause looks at each, and an output may have thousands.
    """
    distinct = _distinct(signs)
    if len(distinct) <= MOST_SIGNS:
        return distinct
    last = MOST_SIGNS // 4
    between = [root] if root in distinct[MOST_SIGNS - 1 - last : -last] else []
    return [*distinct[: MOST_SIGNS - 1 - last], *(s for s in between if s), *distinct[-last:]]


def _end(causes: Sequence[Cause], facts: Facts) -> Diagnosis | None:
    """Say how a process ended, if no exception says why."""
    reading = facts.reading
    root = reading.root
    ends = [cause for cause in causes if cause.rank == Rank.END]
    if (told := _announced([cause for cause in ends if cause.prior], facts)) is not None:
        return told
    signs = few(reading.signs, root)
    named = [
        (found.sign.index, number, cause, found)
        for number, cause in enumerate(ends)
        if (found := cause.found(reading, signs)) is not None
    ]
    first = min(named, default=None, key=lambda each: each[:2])
    is_above = bool(first and first[3].sign.echo and _told_above(reading))
    first = None if is_above else first
    if _is_told(root, reading.ready) and (
        first is None or first[0] > root.index or _is_echo_of(first[3].sign, reading)
    ):
        return _bug(ends, facts, root)
    if first is not None and not (first[3].sign.echo and _by_label(ends, facts)):
        announced = first[2].announced(reading)
        return first[2].diagnosis(facts, first[3], evidence=(announced,) if announced else ())
    if (by_label := _by_label(ends, facts)) is not None:
        seen = by_label.announced(reading)
        return by_label.diagnosis(
            facts, first[3] if first else None, evidence=(seen,) if seen else ()
        )
    if first is not None:
        return first[2].diagnosis(facts, first[3])
    return _announced(ends, facts) if root is None and not is_above else None


def _is_echo_of(end: Sign, reading: OutputReading) -> bool:
    """Tell whether a process said that another one is dead before that had said why."""
    own = (sign.thrown for sign in reading.signs if sign.thrown and sign.is_own)
    return end.echo and any(map(at_work, own))


def _told_above(reading: OutputReading) -> bool:
    """Tell whether a core or a worker said why it failed, in lines that are above those given.

    What is left begins within the message of its exception, or within its traceback.
    """
    return any(
        entry.level in LOUD
        and _OF_AN_ENGINE.match(entry.process or "")
        and entry.text[:1].isspace()
        for entry in reading.entries[: reading.signs[0].index]
    )


def _announced(ends: Sequence[Cause], facts: Facts) -> Diagnosis | None:
    """Return what a line of any level says of the end."""
    for cause in ends:
        if (line := cause.announced(facts.reading)) is not None:
            return cause.diagnosis(facts, None, evidence=(line,))
    return None


def _is_told(root: Sign | None, ready: bool) -> TypeGuard[Sign]:
    """Tell whether a root is an exception that ended the run.

    One line that looks like an exception ends no engine that serves: a traceback does, or what
    vLLM itself logs as an error.
    """
    if root is not None and root.passed_on:
        return True
    if root is None or root.thrown is None:
        return False
    return root.thrown.has_traceback or root.entry.level is not None or not ready


def _by_label(ends: Sequence[Cause], facts: Facts) -> Cause | None:
    ready = facts.reading.ready
    ends = [cause for cause in ends if not (cause.starting and ready)]
    return next((cause for cause in ends if facts.label in cause.labels), None)


_OF_OTHERS = re.compile(r"^(?:ray|grpc|redis|requests|urllib3|httpx|httpcore|aiohttp)\.")
"""Exceptions of what talks to others: that something went wrong there is no bug."""
_OF_THE_HOST = re.compile(rf"{NOT_OF_THE_CODE}|os error \d")
"""Words of a GPU, or of the host: no exception of vLLM's code has them."""


def _bug(causes: Sequence[Cause], facts: Facts, root: Sign) -> Diagnosis | None:
    """Name an exception of vLLM's own that ended an engine that served."""
    reading, thrown = facts.reading, root.thrown
    bug = next((cause for cause in causes if cause.name == BUG), None)
    if bug is None or thrown is None or _OF_OTHERS.match(root.lines[0]):
        return None
    if not reading.ready or is_of_a_start(thrown) or _OF_THE_HOST.search(root.lines[0]):
        return None
    return bug.diagnosis(facts, Found(root.quote, root, reading))


def root_phase(reading: OutputReading) -> Phase:
    """Return the phase in which the root came, or the run ended."""
    return reading.phase_at(reading.root) if reading.root else reading.phase


def _while(phase: Phase) -> str:
    return f" {_WORDS[phase]}" if phase in _WORDS else ""


def unknown(facts: Facts) -> Diagnosis:
    """Say what is known of an end whose cause is not."""
    reading, root = facts.reading, facts.reading.root
    if root is None and reading.signs and (reading.is_cut or _told_above(reading)):
        return Diagnosis(
            cause="unknown",
            kind=Kind.UNKNOWN,
            explanation="The output is cut off: what failed first is above its beginning.",
            advice="Give more of the output: the lines before this one name the cause.",
            evidence=(bare(reading.signs[0].quote),),
        )
    if root is None:
        how = _CODES.get(facts.label, "")
        return Diagnosis(
            cause="unknown",
            kind=Kind.UNKNOWN,
            explanation=f"The output shows no error{f' ({how})' if how else ''}.",
            advice=(
                "Look at the kernel log for the OOM killer (journalctl -k -g oom), and at whoever "
                "may have ended it."
            ),
        )
    where = f" in {reading.process}" if reading.process else ""
    return Diagnosis(
        cause="unknown",
        kind=Kind.UNKNOWN,
        explanation=(
            f"The cause is not one that vllmd knows; the first error came{where}"
            f"{_while(root_phase(reading))}."
        ),
        advice="Read the lines around the error that is quoted; what follows it is mostly its "
        "echo.",
        evidence=(bare(root.quote),),
    )
