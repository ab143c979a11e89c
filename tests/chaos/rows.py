"""One row: a state, what is done in it, what came of it, and whether that is what should."""

import time
from collections import Counter
from collections.abc import Sequence

import attrs

from tests.chaos import states
from tests.chaos.client import failed
from tests.chaos.faults.base import SEEN_S, Fault
from tests.chaos.lab import OTHER, Lab, same
from tests.chaos.states import COMES_TO, ENDS, RUNS, InFlight
from tests.helpers.site import wait_for
from vllmd.shim import proc

END_S = 60.0
"""How long an engine may take to where it comes to."""
CALM_S = 1.2
"""How long it must stay there: four looks of the daemon."""


@attrs.define
class Row:
    """What is known of one row; times are seconds."""

    state: str
    faults: tuple[str, ...]
    way: str
    expected: str = ""
    seen: str = ""
    landed: list[str] = attrs.field(factory=list)
    """By what each fault was seen, in order."""
    lost: dict[str, int] = attrs.field(factory=dict)
    """Requests to the engine that failed after the fault, by reason."""
    lost_by_us: int = 0
    """Those of them, and of the engine beside it, that no fault and no wish explains."""
    serves_after_s: float | None = None
    cause: str = ""
    bad_scrapes: int = 0
    wrong: list[str] = attrs.field(factory=list)
    """What is not as it should be; the row is good if there is nothing."""


class Trial:
    """One row while it is made."""

    def __init__(
        self, lab: Lab, state: str, faults: Sequence[type[Fault]], way: str, *, there: bool = False
    ) -> None:
        """Plan one; `there` says that the engine is in that state already."""
        self.lab, self.state, self._there = lab, state, there
        self.faults = [fault() for fault in faults]
        self.row = Row(state, tuple(f.name for f in faults), way)
        self.row.expected = self._expectation()
        self.disabled = False
        """Whether nothing is done: a harness that does not see that is no proof."""
        self.seen_s = SEEN_S

    @property
    def ends_run(self) -> bool:
        return any(self.state in fault.ends_run for fault in self.faults)

    def _expectation(self) -> str:
        comes_to = COMES_TO[self.state]
        if self.state not in RUNS or self.state in ENDS:
            return comes_to
        return f"{comes_to}, {'a new run' if self.ends_run else 'the same run'}"

    def run(self) -> Row:
        """Make the row."""
        lab, row = self.lab, self.row
        began = time.monotonic()
        request = None
        try:
            request = None if self._there else states.bring(lab, self.state)
            self._before()
            self._inject()
            if not row.wrong:
                self._await_end(request)
        except (AssertionError, OSError) as error:
            row.wrong.append(str(error).splitlines()[0])
        finally:
            self._undo_all()
        row.bad_scrapes = lab.bad_scrapes(time.monotonic() - began)
        return row

    def _before(self) -> None:
        """Note what runs."""
        lab = self.lab
        self.engine, self.other = lab.engine(), lab.engine(OTHER)
        self.tree = lab.tree()
        self.daemon = proc.read_stat(lab.site.daemon.pid)
        now = self.engine.get("state")
        assert now == self.state, f"it was {now} when it was to be done"

    # --- what is done --------------------------------------------------------------------

    def _inject(self) -> None:
        self.at = time.monotonic()
        self._open: list[tuple[Fault, float]] = []
        for fault in self.faults:
            fault.prepare(self.lab)
            if not self.disabled:
                fault.do(self.lab)
            if not (seen := self._landed(fault)):
                self.row.wrong.append(f"not seen: {fault.name}")
                return
            self.row.landed.append(seen)
            if self.disabled:
                continue
            self._open.append((fault, time.monotonic()))
            if fault.of_daemon or self.row.way == "twice":
                self._undo(fault)
        for fault, _ in list(self._open):
            self._undo(fault)

    def _landed(self, fault: Fault) -> str:
        deadline = time.monotonic() + self.seen_s
        while True:
            if seen := fault.seen(self.lab):
                return seen
            if time.monotonic() > deadline:
                return ""
            time.sleep(0.02)

    def _undo(self, fault: Fault) -> None:
        """Take a fault back when it has lasted as long as it is to."""
        (at,) = [since for each, since in self._open if each is fault]
        time.sleep(max(0.0, at + fault.holds_s - time.monotonic()))
        self._open = [each for each in self._open if each[0] is not fault]
        fault.undo(self.lab)

    def _undo_all(self) -> None:
        for fault, _ in getattr(self, "_open", ()):
            fault.undo(self.lab)

    # --- what came of it -------------------------------------------------------------------

    def _await_end(self, request: InFlight | None) -> None:
        row, wanted = self.row, COMES_TO[self.state]
        try:
            wait_for("its end", self._is_there, END_S)
            time.sleep(CALM_S)
        except AssertionError:
            row.wrong.append(f"after {END_S:.0f} s it is {self.lab.state() or 'not answered'}")
        engine = self.lab.engine()
        row.seen = str(engine.get("state", "no answer"))
        if row.seen != wanted and not row.wrong:
            row.wrong.append(f"it did not stay {wanted}")
        self._judge_run(engine)
        self._judge_requests(request)
        self._judge_beside()

    def _is_there(self) -> bool:
        engine = self.lab.engine()
        if engine.get("state") != COMES_TO[self.state]:
            return False
        changed = engine.get("run_id") not in (None, self.engine.get("run_id"))
        return changed or not self.ends_run or self.state not in RUNS or self.state in ENDS

    def _judge_run(self, engine: dict[str, object]) -> None:
        row = self.row
        if self.ends_run or self.state in ENDS:
            if left := [s for s in self.tree if same(s)]:
                row.wrong.append(f"{len(left)} old processes live")
        elif self.state in RUNS:
            if engine.get("run_id") != self.engine["run_id"]:
                row.wrong.append("its run was ended")
            elif not all(same(stat) for stat in self.tree):
                row.wrong.append("a process of it is gone")
        if self.ends_run and self.state not in ENDS:
            exit_ = engine.get("last_exit")
            found = exit_.get("diagnosis") if isinstance(exit_, dict) else None
            row.cause = str((found or {}).get("cause", ""))
            may = set().union(*(f.causes for f in self.faults if self.state in f.ends_run))
            if row.cause not in may:
                row.wrong.append(f"cause {row.cause or 'none'}, not {' or '.join(sorted(may))}")
            row.seen += ", a new run"
        elif self.state in RUNS and self.state not in ENDS:
            row.seen += ", the same run" if engine.get("run_id") == self.engine["run_id"] else ""

    def _judge_requests(self, request: InFlight | None) -> None:
        row, chat = self.row, self.lab.chat
        since = [e for e in chat.since(self.at) if e.ended > self.at]
        lost: Counter[str] = failed(since)
        if request is not None and not request.ok:
            lost[f"in flight: {request.what}"] += 1
        row.lost = dict(lost)
        if COMES_TO[self.state] == "ready":
            first = chat.first_ok(max([self.at, *(e.ended for e in since if e.what != "ok")]))
            row.serves_after_s = round(first - self.at, 1) if first and lost else 0.0
        served = self.state == "ready" or request is not None
        if served and not self.ends_run and lost:
            row.lost_by_us += sum(lost.values())
            row.wrong.append(f"requests were lost: {dict(lost)}")

    def _judge_beside(self) -> None:
        row, other = self.row, self.lab.engine(OTHER)
        if lost := failed(self.lab.other.since(self.at)):
            row.lost_by_us += sum(lost.values())
            row.wrong.append(f"the engine beside it lost {dict(lost)}")
        if other.get("run_id") != self.other.get("run_id"):
            row.wrong.append("the engine beside it was started again")
        if not any(fault.of_daemon for fault in self.faults) and not same(self.daemon):
            row.wrong.append("the daemon ended")
