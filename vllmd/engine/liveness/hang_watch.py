"""A step that takes long: for how long, and since when nothing is computed. Pure but for its asks.

Between two looks at an engine's page the GPUs' readings and what its processes used say whether
anything was computed. Stretches without are added up: one that works begins the sum anew, one that
nobody can tell of adds nothing, and two of these in a row begin it anew as well.
"""

from collections.abc import Callable

from vllmd.config.model import LivenessConfig
from vllmd.engine.liveness.hang_signs import (
    HangSign,
    find_sign,
    is_untold,
    proves_work,
    shows_work,
)
from vllmd.engine.liveness.reading import GpuTrace, ProcessActivity
from vllmd.engine.liveness.work_baseline import WorkBaseline
from vllmd.util.units import MINUTE_S, format_duration

LONGER = 4.0
"""Nothing was computed for so many times as long as ever before in a step that went on."""
UNSURE = 3.0
"""The limit is so many times as long where it was not seen yet what work looks like, where an idle
process may wait for what shows nowhere, and while another computes beside it."""
TOLD_S = 10.0
TOLD = 2.0
"""A step is worth a word after so many seconds, and so many times the longest before."""
MAX_BLIND = 2
KEEP_S = 5 * MINUTE_S

AskGpus = Callable[[float, float], tuple[GpuTrace, ...] | None]
"""Returns what the engine's GPUs showed between two monotonic times; None if that says nothing."""


class HangWatch:
    """One run's steps and signs, and what is remembered of earlier runs."""

    def __init__(self, ask: AskGpus, now: Callable[[], float], work: WorkBaseline) -> None:
        """Make it; `now` is monotonic, `work` is added to."""
        self.ask = ask
        self.work = work
        self.computes = False
        """Whether GPUs proved at the last look that they work at the step that stands still."""
        self._now = now
        self._asked_at = now()
        self._step_s = 0.0
        self._before: ProcessActivity | None = None
        self._unproven: tuple[GpuTrace, ...] = ()
        self._still_s = self._weighed_s = self._longest_still_s = 0.0
        self._blind = 0
        self._stopped = False
        self._below: set[str] = set()
        """GPUs whose use was seen below 100 % in this run: that figure moves."""
        self._kept_at, self._kept = self._asked_at, work.to_json()

    def _traces(self) -> tuple[GpuTrace, ...] | None:
        since, self._asked_at = self._asked_at, self._now()
        traces = self.ask(since, self._asked_at)
        for trace in traces or ():
            if any(sample.busy is not None and sample.busy < 1.0 for sample in trace.samples):
                self._below.add(trace.gpu)
        return traces

    def moves(self, *, worked: bool) -> None:
        """Take note of a look at which nothing stood still; `worked` if steps were made."""
        self.went_on()
        self.reset()
        traces = self._traces() or ()
        self.work.seen(traces)
        if worked:
            self.work.worked(self._unproven)
        self._unproven = traces if worked else ()

    def went_on(self) -> None:
        """Learn of the step that stood still that it goes on; not if a signal stopped a process."""
        if not self._stopped:
            self.work.stepped(self._step_s, self._longest_still_s)

    def reset(self) -> None:
        """Forget the step that stood still."""
        self._step_s = self._still_s = self._weighed_s = self._longest_still_s = 0.0
        self._before = None
        self._blind = 0
        self.computes = self._stopped = False

    def stands(
        self,
        step_s: float,
        look_s: float,
        activity: ProcessActivity | None,
        limits: LivenessConfig,
        poll_s: float,
    ) -> str | None:
        """Take note of a look at which requests run and a step has taken `step_s` or longer.

        `look_s` is for how long that was watched since the look before, in seconds.

        Returns: what shows that nothing is computed, once that was so for long enough.
        """
        self._step_s, self._unproven = step_s, ()
        before, self._before = self._before, activity
        sign = self._look(look_s, before, activity)
        if sign is None or limits.gpu_stall_s == 0:
            return None
        longest_s = self.work.longest_step_s + poll_s
        least_s = max(longest_s, LONGER * self.work.longest_still_s)
        if self._weighed_s < limits.gpu_stall_s * UNSURE or self._still_s < least_s:
            return None
        return f"{sign.words}, for {format_duration(self._still_s)}"

    def _look(
        self, look_s: float, before: ProcessActivity | None, now: ProcessActivity | None
    ) -> HangSign | None:
        """Add the time since the look before to what nothing was computed in, if so."""
        traces = self._traces()
        self.computes = proves_work(traces or (), self.work)
        self._stopped |= now is not None and any(each.state in "Tt" for each in now.processes)
        sign = find_sign(traces or (), before, now, self.work)
        stuck = any(trace.gpu not in self._below for trace in traces or ())
        if stuck:  # at 100 % since the run began: it may be that only the figure stands still
            sign = None
        if sign is not None:
            self._still_s, self._blind = self._still_s + look_s, 0
            self._weighed_s += look_s * (UNSURE if sign.sure else 1.0)
            self._longest_still_s = max(self._longest_still_s, self._still_s)
        elif before is not None:
            untold = stuck or traces is None or now is None or is_untold(traces, self.work)
            self._blind += 1
            if not untold or self._blind >= MAX_BLIND:
                self._still_s, self._weighed_s, self._blind = 0.0, 0.0, 0
        return sign

    def contradicted(self, *, proven: bool = False) -> bool:
        """Tell whether a GPU has worked since the last look; then the step begins anew.

        `proven` asks for work that no spinning can be taken for.
        """
        traces = self._traces() or ()
        worked = (proves_work if proven else shows_work)(traces, self.work)
        if worked:
            self._still_s = self._weighed_s = 0.0
        return worked

    def no_step_s(self, poll_s: float) -> float | None:
        """Return for how long no step was made, once that is well above the longest before."""
        told_s = max(TOLD_S, TOLD * self.work.longest_step_s + poll_s)
        return self._step_s if self._step_s >= told_s else None

    def is_to_be_kept(self) -> bool:
        """Tell whether more is known than was kept, and that was minutes ago."""
        now, known = self._now(), self.work.to_json()
        if now - self._kept_at < KEEP_S or known == self._kept:
            return False
        self._kept_at, self._kept = now, known
        return True
