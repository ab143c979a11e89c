"""When an engine's answers are to be looked at."""

import math
from collections.abc import Callable, Mapping

import attrs

from vllmd.engine.state_machine import Trigger
from vllmd.engine.status import EngineStatus
from vllmd.util.clock import Clock

RETRY_S = 60.0
"""After so long one that did not answer is asked again."""
WRONG_AGAIN_S = 300.0
"""How often one whose answers are wrong is asked whether they still are."""
FAULT_PAUSE_S = 60.0
"""At least so long is between probes for faults that go on; it doubles each time."""
BUSY = 2.0
"""A busy engine is asked after so many times `every_s`."""
OVERDUE = 3.0
"""What was found so many times `every_s` ago says nothing of now."""
FAULTS = ("gpu_error", "corrupted_requests")


@attrs.define
class Sight:
    """What a look is for: another one is due when it changes."""

    run_id: str | None = None
    slept: int = 0
    faults: Mapping[str, float] = attrs.field(factory=dict)
    """Of its GPUs: counts by what was read; what was not read yet, or not lately, is absent."""
    corrupted: float = 0.0
    at: float = 0.0
    """Monotonic."""


@attrs.define
class Due:
    """Tells when one engine is to be asked."""

    clock: Clock
    faults: Callable[[], Mapping[str, float]]
    corrupted: Callable[[], float | None]
    _seen: Sight = attrs.field(factory=Sight, init=False)
    _not_before: float = attrs.field(default=0.0, init=False)
    _of: tuple[str | None, int] = attrs.field(default=(None, 0), init=False)
    """The run and the wake that are not asked before then."""
    _pause_s: float = attrs.field(default=FAULT_PAUSE_S, init=False)
    _fault_at: float | None = attrs.field(default=None, init=False)
    """When it was asked for a fault last, monotonic."""

    def sight(self, status: EngineStatus) -> Sight:
        """Return what is to be seen of it now."""
        slept = sum(n for (event, _), n in status.transitions.items() if event is Trigger.SLEPT)
        now = self.clock.monotonic()
        return Sight(status.run_id, slept, dict(self.faults()), self._corrupted(), now)

    def _corrupted(self) -> float:
        """Return the count of the page; what is no count says nothing."""
        found = self.corrupted()
        return found if found is not None and math.isfinite(found) and found >= 0 else 0.0

    def resume(self, status: EngineStatus, run_id: str | None, ago_s: float) -> None:
        """Go on from what an earlier daemon asked, so many seconds ago."""
        self._seen = self.sight(status)
        self._seen.run_id, self._seen.at = run_id, self.clock.monotonic() - ago_s

    def was_asked(self, run_id: str | None) -> bool:
        """Tell whether that run was asked, whatever came of it."""
        return run_id is not None and self._seen.run_id == run_id

    def is_overdue(self, every_s: float) -> bool:
        """Tell whether it was not asked for longer than any reason to wait lasts."""
        return self.clock.monotonic() - self._seen.at > OVERDUE * every_s

    def asked(self, sight: Sight) -> None:
        """Note that it was asked; what is corrupted is counted again, as a probe adds to it."""
        faults = {**self._seen.faults, **sight.faults}
        self._seen = attrs.evolve(sight, corrupted=self._corrupted(), faults=faults)

    def wait(self, sight: Sight, seconds: float) -> None:
        """Have this run not asked for so long, unless it wakes meanwhile."""
        self._not_before = self.clock.monotonic() + seconds
        self._of = (sight.run_id, sight.slept)

    def now(self) -> None:
        """Let it be asked at once, if there is a reason."""
        self._not_before = 0.0

    def why(self, status: EngineStatus, every_s: float, *, wrong: bool) -> str | None:
        """Return why it is to be asked now; None if it is not."""
        now, seen = self.sight(status), self._seen
        # what is read first is no news, and counts begin anew when a driver is loaded
        first = {each: min(n, seen.faults.get(each, n)) for each, n in now.faults.items()}
        seen.faults = {**seen.faults, **first}
        if not status.up or status.run_id is None:
            return None
        if now.at < self._not_before and self._of == (now.run_id, now.slept):
            return None
        if now.run_id != seen.run_id:
            return "start"
        if now.slept != seen.slept:
            return "wake"
        passed_s, every_s = now.at - seen.at, min(every_s, WRONG_AGAIN_S) if wrong else every_s
        is_time = passed_s >= every_s * BUSY or (passed_s >= every_s and status.is_idle)
        return self._fault(now) or ("time" if is_time else None)

    def _fault(self, now: Sight) -> str | None:
        """Return the fault for which it is to be asked; not again and again while they go on."""
        seen, last = self._seen, self._fault_at
        is_worse = (
            any(count > seen.faults[each] for each, count in now.faults.items()),
            now.corrupted > seen.corrupted,
        )
        if not any(is_worse) or (last is not None and now.at < last + self._pause_s):
            return None
        goes_on = last is not None and now.at < last + 2 * self._pause_s
        self._pause_s = 2 * self._pause_s if goes_on else FAULT_PAUSE_S
        self._fault_at = now.at
        return FAULTS[is_worse.index(True)]
