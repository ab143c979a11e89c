"""The two readers of a host's GPUs, and which rows are left out as a call of NVML crashed or hung.

One reads what supervisors ask for (memory, use, processes), the other all that is read seldom,
which is where a library has died. One that ends the second costs none of the first.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import structlog

from vllmd.events.base import emit
from vllmd.events.gpu import GpuRowDisabled, GpuRowEnabled
from vllmd.gpu.calls import RowKey
from vllmd.gpu.latest import Periods
from vllmd.gpu.reader_process import Figures, ReaderProblem, ReaderProcess
from vllmd.gpu.row_guard import RowGuard
from vllmd.gpu.rows import SLOW, rows_of_call
from vllmd.gpu.sources import DEMO, NVML, command_of
from vllmd.util.clock import Clock
from vllmd.util.parts import Part

Take = Callable[[Mapping[str, Any]], None]

LATE_S = 10.0
"""A reader that says nothing for so long, beyond what it should, hangs."""

_log = structlog.get_logger()


@attrs.frozen
class DisabledRow:
    """A figure that is not read of one GPU any more; `uuid` is empty where it is of all."""

    uuid: str
    row: str
    reason: str
    """`crashed`, `hung`, or `found` by leaving out others."""


class Readers:
    """Both; together they are one source."""

    def __init__(
        self, source: str, periods: Periods, take: Take, forget: Callable[[], None], clock: Clock
    ) -> None:
        """Make them; `take` gets each message, `forget` is told when nothing is known any more."""
        self._take = take
        self.fast_guard, self.slow_guard = RowGuard(self._tell), RowGuard(self._tell)
        fast = attrs.evolve(periods, slow_s=0.0) if source != DEMO else periods
        self.fast = ReaderProcess(
            command_of(source, fast),
            take,
            forget,
            clock,
            self.fast_guard,
            late_s=max(LATE_S, 5 * periods.fast_s),
        )
        self.slow: ReaderProcess | None = None
        if source == NVML:
            slow = attrs.evolve(periods, fast_s=0.0, processes_s=0.0)
            self.slow = ReaderProcess(
                command_of(source, slow),
                self._take_slow,
                lambda: None,  # what it read stays true as long as it is not too old
                clock,
                self.slow_guard,
                late_s=LATE_S + periods.slow_s,
                reads=SLOW,
                every_s=periods.slow_s,
            )

    def parts(self) -> Iterator[Part]:
        """Yield what is to run."""
        yield Part("gpu_reader", self.fast.run)
        if self.slow is not None:
            yield Part("gpu_slow_reader", self.slow.run)

    def go_on_from(self, before: "Readers") -> None:
        """Take over what is counted, and what was found out about rows."""
        self.fast.figures = before.fast.figures
        if self.slow is not None and before.slow is not None:
            self.slow.figures = before.slow.figures
        self.fast_guard.left_out.update(before.fast_guard.left_out)
        self.slow_guard.left_out.update(before.slow_guard.left_out)

    def _take_slow(self, message: Mapping[str, Any]) -> None:
        if message["kind"] not in ("hello", "devices"):  # the other says them, too
            self._take(message)

    def _tell(self, key: RowKey, why: str | None) -> None:
        for row in rows_of_call(key.row):
            if why is None:
                emit(_log, GpuRowEnabled(uuid=key.uuid, row=row))
            else:
                emit(_log, GpuRowDisabled(uuid=key.uuid, row=row, reason=why))

    # --- what is known -----------------------------------------------------------------------

    @property
    def problem(self) -> ReaderProblem | None:
        """Why there are no readings; what the slow one lacks is no such reason."""
        return self.fast.problem

    def figures(self) -> Figures:
        """Return how both fared."""
        each = [self.fast.figures, *([self.slow.figures] if self.slow else [])]
        return Figures(sum(f.starts for f in each), sum(f.stuck for f in each))

    def disabled(self) -> tuple[DisabledRow, ...]:
        """Return the figures that are not read any more, by GPU and row."""
        return tuple(
            DisabledRow(key.uuid, row, why)
            for guard in (self.fast_guard, self.slow_guard)
            for key, why in sorted(guard.left_out.items())
            for row in rows_of_call(key.row)
        )

    # --- what is asked of them ---------------------------------------------------------------

    def tell(self, words: str) -> bool:
        """Send a line to the one that lists processes; tell whether it is there to take it."""
        return self.fast.tell(words)

    def release(self, seconds: float) -> None:
        """Release the GPUs for this long: a reset needs them unused."""
        for each in (self.fast, self.slow):
            if each is not None:
                each.release(seconds)

    def resume(self) -> None:
        """Read again, before the time is over."""
        for each in (self.fast, self.slow):
            if each is not None:
                each.resume()
