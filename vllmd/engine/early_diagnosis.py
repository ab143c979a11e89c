"""What a start has printed already, looked at before it ends: vLLM may take minutes to die."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import structlog

from vllmd.engine.causes import BY_NAME, diagnose
from vllmd.engine.causes.base import Diagnosis, Facts, Kind, Rank
from vllmd.engine.doubts import UNDER_WAY, Doubt, Doubts
from vllmd.engine.status import EngineStatus
from vllmd.events.base import emit
from vllmd.events.engine import EngineDoubted
from vllmd.util.clock import Clock, until_tick
from vllmd.util.parts import Part

LOOK_S = 2.0
CHECK = "output"
RUNS = "running"
"""In the place of how it ended: it has not."""

_log = structlog.get_logger()


class ErrorsOfRun(Protocol):
    """The first errors that an engine's run printed."""

    def before(self, printed: Sequence[str]) -> list[str]:
        """Return them, and then what is given."""
        ...


class EarlyDiagnosis:
    """Looks at the errors of starts that are under way, and tells a cause that it knows, once."""

    def __init__(
        self,
        starting: Callable[[], Collection[EngineStatus]],
        errors: Mapping[str, ErrorsOfRun],
        doubts: Doubts,
        clock: Clock,
        mask: Callable[[str], str],
    ) -> None:
        self._starting = starting
        self._errors = errors
        self._doubts = doubts
        self._clock = clock
        self._mask = mask
        self._read: dict[str, tuple[str | None, list[str]]] = {}
        self._told: dict[str, tuple[str | None, str]] = {}

    def parts(self) -> Iterator[Part]:
        """Yield what is to run."""
        yield Part("early_diagnosis", self.run)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(until_tick(self._clock, LOOK_S))

    async def look(self) -> None:
        """Look at each start once; what it printed is read in a thread, as that may be much."""
        starting = self._starting()
        known = {engine.name for engine in starting}
        for name in (self._read.keys() | self._told.keys()) - known:  # their starts are over
            self._read.pop(name, None)
            self._told.pop(name, None)
        for engine in self._starts(starting):
            lines = self._errors[engine.name].before(())
            read = engine.run_id, lines
            if not lines or self._read.get(engine.name) == read:
                continue
            self._read[engine.name] = read
            found = await asyncio.to_thread(_certain, lines, self._mask)
            goes_on = any(
                (each.name, each.run_id) == (engine.name, engine.run_id)
                for each in self._starts(self._starting())
            )
            if found is not None and goes_on:
                self._tell(engine, found)

    def _starts(self, starting: Collection[EngineStatus]) -> list[EngineStatus]:
        return [e for e in starting if e.state in UNDER_WAY and e.name in self._errors]

    def _tell(self, engine: EngineStatus, found: Diagnosis) -> None:
        told = engine.run_id, found.cause
        if self._told.get(engine.name) == told:
            return
        self._told[engine.name] = told
        doubt = Doubt(CHECK, "error", found.why, found.advice, found.evidence)
        self._doubts.tell(engine.name, CHECK, [doubt])
        emit(
            _log,
            EngineDoubted(
                check=CHECK,
                severity="error",
                found=found.why,
                fix=found.advice,
                evidence=found.evidence,
            ),
            engine=engine.name,
        )


def _certain(lines: Sequence[str], mask: Callable[[str], str]) -> Diagnosis | None:
    """Return what ends a start that printed these, if that is certain before its end."""
    facts = Facts(RUNS, tuple(map(mask, lines)))
    root = facts.reading.root
    if root is not None and root.is_logged:
        return None  # what vLLM logs as an error it mostly goes on from
    found = diagnose(facts)
    cause = BY_NAME.get(found.cause)  # a suspicion names none
    if cause is None or cause.rank is Rank.END or found.kind is Kind.OPERATOR:
        return None  # that a process has ended says nothing yet: what it died of may still come
    return found
