"""What a start has printed already, looked at before it ends: vLLM may take minutes to die."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import structlog

from vllmd.engine.causes import BY_NAME, diagnose
from vllmd.engine.causes.base import Facts, Kind, Rank
from vllmd.engine.doubts import UNDER_WAY, Doubt, Doubts
from vllmd.engine.status import EngineStatus
from vllmd.events.base import emit
from vllmd.events.engine import EngineDoubted
from vllmd.util.clock import Clock
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
        statuses: Callable[[], Collection[EngineStatus]],
        errors: Mapping[str, ErrorsOfRun],
        doubts: Doubts,
        clock: Clock,
        mask: Callable[[str], str],
    ) -> None:
        self._statuses = statuses
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
            self.look()
            await self._clock.sleep(LOOK_S)

    def look(self) -> None:
        """Look at each start once."""
        for engine in self._statuses():
            if engine.state in UNDER_WAY and engine.name in self._errors:
                self._look_at(engine)

    def _look_at(self, engine: EngineStatus) -> None:
        lines = self._errors[engine.name].before(())
        read = engine.run_id, lines
        if not lines or self._read.get(engine.name) == read:
            return
        self._read[engine.name] = read
        facts = Facts(RUNS, tuple(map(self._mask, lines)))
        root = facts.reading.root
        if root is not None and root.is_logged:
            return  # what vLLM logs as an error it mostly goes on from
        found = diagnose(facts)
        cause = BY_NAME.get(found.cause)  # a suspicion names none
        if cause is None or cause.rank is Rank.END or found.kind is Kind.OPERATOR:
            return  # that a process has ended says nothing yet: what it died of may still come
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
