"""Engines on GPUs, simulated second by second: what their pages, GPUs and processes show.

Figures of power and of the memory bus are drawn around those that were seen on an H200.
"""

import itertools
import random

import attrs

from vllmd.config.model import LivenessConfig
from vllmd.engine.liveness.hang_watch import HangWatch
from vllmd.engine.liveness.reading import (
    GpuSample,
    GpuTrace,
    PageAnswer,
    ProcessActivity,
    ProcessUse,
    RankProgress,
    Reading,
)
from vllmd.engine.liveness.stall_detector import StallDetector, Verdict
from vllmd.engine.liveness.work_baseline import WorkBaseline

HOUR_S = 3600
POLL_S = 5
LIMITS = LivenessConfig()
API, CORE, WORKERS, CHILD = 5, 10, (20, 21), 1000
HANGS = ("spin", "stopped", "one_worker")
FOUND_WITHIN_S = 60.0


@attrs.define
class Found:
    """What became of simulated engines."""

    engine_s: int = 0
    stalled: list[str] = attrs.field(factory=list)
    """Engines that were well, and were called stalled."""
    found_s: list[float] = attrs.field(factory=list)
    """After how many seconds each hang was found that the readings can show in time."""
    missed: list[str] = attrs.field(factory=list)
    long_steps: int = 0
    """Looks at healthy engines whose step took longer than the limit by then."""


@attrs.define
class _Act:
    """What the engine does for a while: what each GPU shows, and what the processes use."""

    kind: str
    until: int
    gpus: tuple[str, ...]
    steps: int = 0
    running: int = 1
    cpu: tuple[int, ...] = ()
    """Those that use a CPU."""
    moves: tuple[int, ...] = ()
    state: str = "S"
    shared: bool = False
    compiles: bool = False
    """Whether children come and go that compute."""


class SimulatedGpuEngine:
    """One engine on one GPU or two, judged as the daemon judges it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.count = dice.choice([1, 1, 2])
        self.holders = WORKERS if self.count == 2 else (CORE,)
        self.idle_watts = dice.uniform(25, 130)
        self.work_watts = self.idle_watts * dice.uniform(1.6, 5)
        self.work_bus = dice.choice([0.0, 0.01, 0.02, 0.1, 0.3, 0.6])
        self.longest_s = dice.choice([2, 4, 30, 200, 540])
        """How long its long steps take."""
        self.tells = dice.choice(["all", "all", "all", "no_power", "nothing"])
        self.at = 0
        self.steps = 0.0
        self.used = dict.fromkeys((CORE, *WORKERS), 0.0)
        self.moved = dict.fromkeys((CORE, *WORKERS), 0)
        self.samples: list[list[GpuSample]] = [[] for _ in range(self.count)]
        self.blind_until = 0
        self.child = CHILD
        self.hung_at: int | None = None
        self.act = _Act("idle", 60, ("idle",) * self.count, running=0)
        self.work = WorkBaseline()
        self.begin()

    def begin(self) -> None:
        """Begin another run: what was learned of work stays."""
        self.detector = StallDetector(
            LIMITS, POLL_S, HangWatch(self.traces, lambda: float(self.at), self.work)
        )

    # --- what it does ------------------------------------------------------------------------

    def second(self) -> None:
        """Let a second pass."""
        if self.at >= self.act.until and self.hung_at is None:
            self.act = self._next()
        act, dice = self.act, self.dice
        self.steps += act.steps
        for pid in act.cpu:
            self.used[pid] += 1.0
        for pid in act.moves:
            self.moved[pid] += 1_000_000
        self.child += act.compiles and self.at % 3 == 0
        self.at += 1
        if self.hung_at is None and dice.random() < 0.0005:
            self.blind_until = self.at + dice.randint(2, 90)
        if self.at >= self.blind_until:
            for number, does in enumerate(act.gpus):
                self.samples[number] = [*self.samples[number][-130:], self._sample(does)]

    def _sample(self, does: str) -> GpuSample:
        dice, idle, at = self.dice, self.idle_watts, float(self.at)
        noise = dice.uniform(0.99, 1.01)
        busy, bus, watts = {
            "idle": (0.0, 0.0, idle),
            "spin": (1.0, 0.0, idle * 1.04),
            "wait": (1.0, 0.0, idle * 1.3),
            "work": (1.0, self.work_bus, self.work_watts),
            "light": (dice.uniform(0, 0.9), 0.0, idle * 1.1),
            "throttled": (1.0, 0.0, idle * 1.1),
        }[does]
        if self.tells == "nothing":
            return GpuSample(at, None, None, None)
        seen = None if self.tells == "no_power" else watts * noise
        return GpuSample(at, busy, bus, seen, throttled=does == "throttled")

    def _next(self) -> _Act:  # noqa: PLR0911 - one for each kind
        dice, all_of, at = self.dice, self.count, self.at
        rare = dice.random() < 0.1  # so that the longest before is far below
        long = at + dice.randint(1, self.longest_s if rare else 4)
        spun = ("wait", "idle") if self.count == 2 else ("idle",)
        last = self.holders[-1]
        self.steps += 1
        kinds = ["idle", "light", "decode", "decode", "prefill", "compile", "children", "adapter"]
        kinds += ["disk", "throttled", "tenant", "stage"]
        kind = dice.choice(kinds)
        if self.act.running and not self.act.steps:
            kind = "decode"  # each long step is followed by others
        work = ("work",) * all_of
        if kind == "idle":
            return _Act(kind, at + dice.randint(5, 900), ("idle",) * all_of, running=0)
        if kind == "light":
            return _Act(kind, at + dice.randint(5, 300), ("light",) * all_of, 20, cpu=self.holders)
        if kind == "decode":
            return _Act(kind, at + dice.randint(20, 600), work, 20, cpu=self.holders)
        if kind == "prefill":
            return _Act(kind, long, work, cpu=self.holders)
        if kind == "compile":
            return _Act(kind, long, spun, cpu=(*self.holders[:-1], last))
        if kind == "children":
            return _Act(kind, long, spun, cpu=self.holders[:-1], compiles=True)
        if kind == "adapter":
            short = at + dice.randint(1, min(55, self.longest_s) if rare else 4)
            return _Act(kind, short, ("idle",) * all_of, moves=self.holders)
        if kind == "disk":
            short = at + dice.randint(1, min(50, self.longest_s) if rare else 4)
            return _Act(kind, short, ("idle",) * all_of, state="D")
        if kind == "throttled":
            return _Act(kind, long, ("throttled",) * all_of, cpu=self.holders)
        if kind == "tenant":
            shows = dice.choice(["spin", "wait", "work"])
            return _Act(kind, long, (shows,) * all_of, cpu=self.holders, shared=True)
        stages = ("work", "idle") if self.count == 2 else ("work",)
        return _Act(kind, long, stages, cpu=self.holders[:1])

    def hang(self, kind: str) -> None:
        """Hang from now on."""
        never = 10**9
        self.hung_at, self.blind_until = self.at, 0
        if kind == "one_worker" and self.count == 2:
            self.act = _Act(kind, never, ("wait", "idle"), cpu=(WORKERS[0],), state="T")
        elif kind == "stopped":
            self.act = _Act(kind, never, ("idle",) * self.count, state="T")
        else:
            self.act = _Act(kind, never, ("spin",) * self.count, cpu=self.holders)

    def recover(self) -> None:
        """Begin anew after a kill."""
        self.hung_at, self.steps = None, 0.0
        self.act = _Act("idle", self.at + 60, ("idle",) * self.count, running=0)
        self.begin()

    @property
    def is_told(self) -> bool:
        """Whether what work looks like is known, and no step before took long."""
        work = self.work
        plain = work.learned and (work.least_bus or 0) >= 0.1
        plain = plain and (work.least_watts or 0) >= 2 * self.idle_watts
        short = work.longest_step_s <= 30 and work.longest_still_s <= POLL_S
        return self.tells == "all" and plain and short

    # --- what is read of it ------------------------------------------------------------------

    def traces(self, since: float, until: float) -> tuple[GpuTrace, ...] | None:
        if self.at < self.blind_until and self.dice.random() < 0.5:
            return None
        return tuple(
            GpuTrace(
                str(number),
                since,
                until,
                tuple(s for s in samples if since < s.at <= until),
                frozenset({self.holders[number]}),
                self.act.shared,
            )
            for number, samples in enumerate(self.samples)
        )

    def activity(self) -> ProcessActivity:
        pids = (CORE, *WORKERS) if self.count == 2 else (CORE,)
        stopped = {self.holders[-1]}
        processes = [
            ProcessUse(
                pid,
                API if pid == CORE else CORE,
                self.used[pid],
                self.moved[pid],
                self.act.state if pid in stopped else "S",
            )
            for pid in pids
        ]
        if self.act.compiles:
            processes.append(ProcessUse(self.child, self.holders[-1], 1.0, 0, "R"))
        core = sum(each.cpu_s for each in processes) + 3.0 * self.child
        return ProcessActivity(0.0, core, 0, None, None, float(self.at), tuple(processes))

    def look(self) -> Verdict:
        ranks = {"0": RankProgress(int(self.steps), self.act.running, 0)}
        reading = Reading(float(self.at), PageAnswer.PAGE, ranks, took_s=0.01)
        return self.detector.assess(reading, self.activity).verdict


def simulate(seed: int, *, engines: int, hours: float) -> Found:
    """Let engines live, work and hang; say what was found."""
    dice, found = random.Random(seed), Found()
    for number in range(engines):
        engine = SimulatedGpuEngine(random.Random(dice.random()))
        _live(f"engine {number} of seed {seed}", engine, int(hours * HOUR_S), found)
    return found


def _live(name: str, engine: SimulatedGpuEngine, seconds: int, found: Found) -> None:
    offset = engine.dice.randrange(POLL_S)
    for _ in itertools.takewhile(lambda _: engine.at < seconds, itertools.count()):
        engine.second()
        if engine.hung_at is None and engine.act.kind == "decode" and engine.dice.random() < 0.001:
            told, limit_s = engine.is_told, LIMITS.hang_s + 3 * POLL_S
            kind = engine.dice.choice(HANGS)
            engine.hang(kind)
        if engine.at % POLL_S != offset:
            continue
        verdict = engine.look()
        if engine.hung_at is None:
            step_s = engine.detector.hang.no_step_s(POLL_S)
            found.long_steps += step_s is not None and step_s >= LIMITS.gpu_stall_s
            if verdict is Verdict.STALLED:
                found.stalled.append(f"{name} at {engine.at} s: {engine.act}")
                engine.recover()
            continue
        hung_s, told = engine.at - engine.hung_at, told and engine.is_told
        if verdict is Verdict.STALLED:
            if told:
                found.found_s.append(hung_s)
            engine.recover()
        elif hung_s > (FOUND_WITHIN_S if told else limit_s):
            found.missed.append(f"{name}: {engine.act.kind} for {hung_s} s")
            engine.recover()
    found.engine_s += seconds
