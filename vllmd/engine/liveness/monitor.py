"""Follow a running engine: through loading to ready, into silence, sleep, a stall, and back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs

from vllmd.config.model import LivenessConfig
from vllmd.engine import exits
from vllmd.engine.engine_state import EngineState
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.canary import RANK, Canary
from vllmd.engine.liveness.fresh_look import confirms, has_moved_on
from vllmd.engine.liveness.hang_watch import HangWatch
from vllmd.engine.liveness.own_ranks import OwnRanks
from vllmd.engine.liveness.probes import Probes
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, Reading
from vllmd.engine.liveness.stall_detector import (
    Assessment,
    LoadStallDetector,
    StallDetector,
    Verdict,
)
from vllmd.engine.loading.memory_sizes import parse_size
from vllmd.engine.loading.phases import SPANS, LoadOutput, is_waiting_notice
from vllmd.engine.output.run_output import output_of
from vllmd.engine.state_machine import State, Trigger
from vllmd.events.base import emit
from vllmd.events.engine import EngineCleared, EngineProgressed, EngineStalled, IncidentFailed
from vllmd.logs.reader import LogReader
from vllmd.shim.protocol import RunRecord
from vllmd.util.clock import until_tick
from vllmd.util.loop_lag import LoopLag
from vllmd.util.parts import describe

LOADING_POLL_S = 0.5
EVIDENCE_S = 30.0
"""What reading and writing files may take, beside the stacks."""
SILENT_POLLS = 3
"""Polls in a row without an answer that make an engine unreachable: one may be lost to load."""


@attrs.frozen
class Stall:
    """An engine that is to be killed: it was looked into, and made no progress meanwhile."""

    label: str
    """`exits.STALLED` or `exits.LOAD_STALLED`."""
    reason: str


Diagnose = Callable[[RunRecord, str, ProcessActivity | None], Awaitable[Path | None]]
"""Writes down where the processes of a run stand; returns the folder, None if it could not."""


NOT_SEEN = "vllmd itself cannot look at it, and leaves it alone: "
LEFT_ALONE = "it seems to be stalled, and is left alone until that is sure: "


@attrs.define(eq=False)
class LivenessMonitor:
    """One engine, followed; `run` lasts until it is cancelled, or the engine is to be killed.

    Its settings may be replaced meanwhile: the next look goes by them.
    """

    engine_state: EngineState
    probes: Probes
    lag: LoopLag
    poll_s: float
    port: int
    limits: LivenessConfig
    gpu: EngineGpus
    diagnose: Diagnose
    loaded: Callable[[], None] = lambda: None
    """Told when the engine is ready for the first time in this run."""
    _unsure: str | None = attrs.field(default=None, init=False)
    """What was said while it was not sure how the engine does."""
    _output: LoadOutput = attrs.field(factory=LoadOutput, init=False)
    """What the start under way has printed."""

    async def run(self, run: RunRecord) -> Stall:
        """Follow the engine of `run`, from its state.

        Returns: why it is to be killed.
        """
        if not self.engine_state.has_served:
            stall = await self._until_ready(run)
            if stall is not None:
                return stall
            self.engine_state.ready()
            self.loaded()
        return await self._serve(run)

    async def look_first(self, run: RunRecord) -> None:
        """Look at an engine that served under an earlier daemon, before anything is said of it.

        One that refuses does not serve any more. A page that is only late says nothing: that is
        judged by later looks.
        """
        reading = await self.probes.serving()
        if reading.answer is PageAnswer.PAGE and self.probes.owns_port(run["shim_pid"]) is False:
            reading = Reading(reading.at, PageAnswer.REFUSED)
        self._note(reading, SILENT_POLLS if reading.answer is PageAnswer.REFUSED else 0)

    def span_ended(self, name: str, at: float, *, failed: bool) -> None:
        """Note a span of the start under way that ended at `at`, in seconds since the epoch.

        One that `failed` has not led to what follows it.
        """
        if self.engine_state.state is State.LOADING and not failed:
            self.engine_state.reach(SPANS.get(name), at)

    async def _until_ready(self, run: RunRecord) -> Stall | None:
        log, self._output = output_of(run), LoadOutput()
        detector = LoadStallDetector(self.limits.load_stall_s, self.poll_s)
        judged_at, spoke = self.lag.watched(), False
        while True:
            spoke = await self._read_output(log) or self.probes.gets_on() or spoke
            self._reach(self.probes.printing(run["run_id"]) or "")
            if await self.probes.loading():
                if self.probes.owns_port(run["shim_pid"]) is not False:
                    return None
                self.engine_state.found(
                    f"port {self.port} is answered by a process that is not this run of the "
                    f"engine: see who it is (ss -ltnp 'sport = {self.port}'). An earlier run whose "
                    "folder in run_dir was removed serves on: leave it until its requests can go "
                    "elsewhere. Else end it, or give the engine another port"
                )
            now = self.lag.watched()
            detector.limit_s, detector.poll_s = self.limits.load_stall_s, self.poll_s
            if now - judged_at >= self.poll_s:
                judged_at = now
                reason = self._judge_load(detector, run, spoke=spoke)
                spoke = False
                if reason and await self._load_stalls(run, detector, log, reason):
                    return Stall(exits.LOAD_STALLED, reason)
            await self.lag.clock.sleep(LOADING_POLL_S)

    async def _read_output(self, log: LogReader) -> bool:
        """Note what a loading engine printed; tell whether it says that the load gets on."""
        spoke = False
        for line in await self.probes.printed(log):  # one by one: a phase may be over within a poll
            spoke = spoke or not is_waiting_notice(line)
            self._reach(line)
            self.engine_state.learn(parse_size(line))
        return spoke

    def _reach(self, line: str) -> None:
        for phase, ago_s in self._output.read(line):
            self.engine_state.reach(phase, self.lag.clock.time() - ago_s)
        self.engine_state.start_fails = self._output.failed

    def _judge_load(
        self, detector: LoadStallDetector, run: RunRecord, *, spoke: bool
    ) -> str | None:
        activity = None if spoke else self.activity(run)
        return detector.assess(self.lag.watched(), spoke=spoke, activity=activity)

    async def _load_stalls(
        self, run: RunRecord, detector: LoadStallDetector, log: LogReader, reason: str
    ) -> bool:
        """Act on a load that seems to stand still; tell whether it is to be ended."""
        said_only = self.engine_state.state is State.STALLED
        if said_only and not self.limits.restart_stalled:
            return False
        if not await self._load_stands(run, detector, log):
            return False
        return said_only or (
            await self._stalled(run, reason) and await self._load_stands(run, detector, log)
        )

    async def _load_stands(
        self, run: RunRecord, detector: LoadStallDetector, log: LogReader
    ) -> bool:
        """Look afresh at a load that seems to stand still."""
        fresh = await self.probes.look_afresh(False)
        if fresh.answer is PageAnswer.UNKNOWN:
            self._leave_alone(LEFT_ALONE + fresh.problem)
            return False
        self._sure()
        if fresh.answered:
            detector.reset()
        return self._judge_load(detector, run, spoke=await self._read_output(log)) is not None

    async def _serve(self, run: RunRecord) -> Stall:
        clock, work = self.lag.clock, self.engine_state.work()
        hang = HangWatch(self.gpu.traces, clock.monotonic, work)
        detector = StallDetector(self.limits, self.poll_s, hang)
        own: Canary | None = None
        ranks = OwnRanks(self.lag, self.engine_state.answers, lambda: self.activity(run))
        silent = blind = 0
        try:
            while True:
                own = self._canary(own)
                detector.limits, detector.poll_s = self.limits, self.poll_s
                hang.ask = self.gpu.traces
                await clock.sleep(until_tick(clock, self.poll_s))
                reading = await self.probes.serving()
                blind = self._count_blind(reading, blind)
                if reading.answer is not PageAnswer.UNKNOWN:
                    silent = 0 if reading.answer is PageAnswer.PAGE else silent + 1
                hung = ranks.look(self.probes.ranks, reading, self.limits, self.gpu)
                self.engine_state.rank_doubt = ranks.doubt
                self._note(reading, silent)
                plain, reading = reading, self._with_canary(own, reading)
                probed = self.engine_state.answers.was_probed() or RANK in reading.ranks
                self.engine_state.idle.saw(plain, probed=probed, own=ranks.own)
                if wrong := self.engine_state.answers.verdict(run["run_id"]):
                    return Stall(*wrong)
                assessment = detector.assess(reading, lambda: self.activity(run))
                if hung is not None and assessment.verdict is not Verdict.STALLED:
                    assessment = hung
                self.engine_state.show_step(hang.no_step_s(self.poll_s))
                if hang.is_to_be_kept():
                    self.engine_state.save()
                if assessment.verdict is not Verdict.STALLED:
                    self._recovered(reading, assessment, silent)
                elif await self._stalls(run, detector, reading, assessment):
                    return Stall(exits.STALLED, assessment.reason)
                elif self._unsure is None and self.engine_state.state is not State.STALLED:
                    ranks.close()  # a fresh look cleared it
        finally:
            ranks.close()
            if own is not None:
                own.close()

    def _canary(self, own: Canary | None) -> Canary | None:
        """Return the canary that is wanted now: the one there is, another one, or none."""
        ask, every_s = self.probes.canary, self.limits.canary_every_s
        if own is not None:
            if own.ask is ask and own.every_s == every_s:
                return own
            own.close()
        return Canary(ask, self.lag.clock, every_s) if ask else None

    def _with_canary(self, own: Canary | None, reading: Reading) -> Reading:
        """Add the rank that stands for a canary in flight; send one if it is time."""
        if own is None or reading.answer is not PageAnswer.PAGE:
            return reading
        steps = sum(rank.steps for rank in reading.ranks.values())
        idle = not any(rank.has_work for rank in reading.ranks.values())
        rank = own.look(steps, idle and not reading.sleeping)
        if own.problem is not None:
            self.engine_state.found(f"the canary was not answered as it should be: {own.problem}")
        return (
            reading if rank is None else attrs.evolve(reading, ranks={**reading.ranks, RANK: rank})
        )

    async def _stalls(
        self, run: RunRecord, detector: StallDetector, reading: Reading, assessment: Assessment
    ) -> bool:
        """Act on an engine that seems to be stalled; tell whether it is to be killed.

        It is looked at afresh before that is said, and again before it is killed.
        """
        said_only = self.engine_state.state is State.STALLED
        if said_only and not self.limits.restart_stalled:
            return False
        if not await self._confirmed(detector, reading, assessment):
            return False
        return said_only or (
            await self._stalled(run, assessment.reason)
            and await self._confirmed(detector, reading, assessment)
        )

    async def _confirmed(
        self, detector: StallDetector, reading: Reading, assessment: Assessment
    ) -> bool:
        """Look afresh at an engine that seems to be stalled; what is not sure is not confirmed."""
        fresh = await self.probes.look_afresh(assessment.rank == RANK)
        if fresh.answer is PageAnswer.UNKNOWN:
            self._leave_alone(LEFT_ALONE + fresh.problem)
            return False
        self._sure()
        worked = assessment.cleared_by_work and detector.hang.contradicted(
            proven=not assessment.by_gpus
        )
        if confirms(fresh, reading, assessment) and not worked:
            return True
        detector.reset(went_on=has_moved_on(fresh, reading, assessment))
        emit(self.engine_state.log, EngineCleared(doubt=assessment.reason, answer=fresh.answer))
        if fresh.answer is PageAnswer.PAGE and self.engine_state.state is State.STALLED:
            self._progressed(Verdict.BUSY)
        return False

    def _count_blind(self, reading: Reading, blind: int) -> int:
        """Say when many polls in a row could not look; the first that could takes it back.

        Returns: how many in a row that is, with this one.
        """
        if reading.answer is not PageAnswer.UNKNOWN:
            return 0
        if blind + 1 >= SILENT_POLLS and self.engine_state.state is not State.STALLED:
            self._leave_alone(NOT_SEEN + reading.problem)
        return blind + 1

    def _leave_alone(self, why: str) -> None:
        self._unsure = why
        self.engine_state.found(why)

    def _sure(self) -> None:
        """Take back what was said while it was not sure how the engine does."""
        if self._unsure is not None and self.engine_state.problem == self._unsure:
            self.engine_state.problem = None
        self._unsure = None

    def activity(self, run: RunRecord) -> ProcessActivity | None:
        """Return what its processes have used, and what their GPU does for them."""
        shim_pid = run["shim_pid"]
        used = self.probes.activity(shim_pid, run["engine_pid"])
        if used is None:
            return None
        busy, held = self.gpu.busy(), self.gpu.memory_bytes()
        return attrs.evolve(used, gpu_busy=busy, gpu_memory_bytes=held)

    def _note(self, reading: Reading, silent: int) -> None:
        """Follow what the page says into the states that it names."""
        self.engine_state.show(reading)
        state = self.engine_state.state
        if silent >= SILENT_POLLS and state in (State.READY, State.SLEEPING):
            self.engine_state.requests = None
            self.engine_state.to(Trigger.WENT_SILENT)
        if reading.answer is not PageAnswer.PAGE or reading.at < self.engine_state.sleep_changed_at:
            return
        asleep = self.engine_state.asleep
        if state is State.UNREACHABLE:
            self.engine_state.to(Trigger.SLEPT if asleep else Trigger.ANSWERED)
        # what vllmd itself put to sleep is asked whether it is awake: `sleeping/sleeper.py`
        if state is State.SLEEPING and not reading.sleeping and not (asleep and asleep.ours):
            self.engine_state.to(Trigger.ANSWERED)
        if self.engine_state.state is State.READY and reading.sleeping:
            self.engine_state.rests_by_another(reading.sleep_level)

    def _recovered(self, reading: Reading, assessment: Assessment, silent: int) -> None:
        """Take a stall back that was only said, not acted upon."""
        if assessment.verdict is Verdict.UNKNOWN:
            return
        self._sure()
        if self.engine_state.state is not State.STALLED:
            return
        if reading.answer is PageAnswer.PAGE:
            self._progressed(assessment.verdict)
        elif silent >= SILENT_POLLS:
            self.engine_state.to(Trigger.WENT_SILENT)

    def _progressed(self, verdict: Verdict) -> None:
        emit(self.engine_state.log, EngineProgressed(verdict=str(verdict)))
        self.engine_state.problem = None
        asleep = self.engine_state.asleep is not None
        self.engine_state.to(Trigger.SLEPT if asleep else Trigger.PROGRESSED)

    async def _stalled(self, run: RunRecord, reason: str) -> bool:
        """Say that the engine is stalled, and look into it.

        Returns: whether it is to be killed, if it stays so.
        """
        self.engine_state.found(reason)
        if self.engine_state.state is not State.STALLED:
            self.engine_state.to(Trigger.STALLED)
        folder = await self._evidence(run, reason)
        emit(
            self.engine_state.log,
            EngineStalled(
                reason=reason,
                incident=str(folder) if folder else None,
                acted=self.limits.restart_stalled,
                consequence="it is killed and started again, unless a last look shows progress"
                if self.limits.restart_stalled
                else "none: liveness.restart_stalled is false",
            ),
        )
        return self.limits.restart_stalled

    async def _evidence(self, run: RunRecord, reason: str) -> Path | None:
        """Write down where it stands; neither a mistake in that nor a disk keeps it from its end.

        Returns: the folder; None if there is none.
        """
        looking = asyncio.ensure_future(self.diagnose(run, reason, self.activity(run)))
        limit_s, problem = self.limits.diagnose_s + EVIDENCE_S, None
        try:
            if not await self.lag.wait(looking, limit_s):
                problem = f"not written down within {limit_s:g} s: does a disk hang?"
            elif (error := looking.exception()) is not None:
                problem = describe(error)
        finally:
            looking.cancel()
        if problem is None:
            return looking.result()
        emit(self.engine_state.log, IncidentFailed(problem=problem))
        return None
