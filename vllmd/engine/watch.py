"""Follow a running engine: through loading to ready, into silence, sleep, a stall, and back."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs

from vllmd import events
from vllmd.clock import Clock
from vllmd.config.model import Liveness
from vllmd.engine import exits
from vllmd.engine.follow import new_lines, output_of
from vllmd.engine.gpu import GpuView
from vllmd.engine.ledger import Ledger
from vllmd.engine.liveness.canary import RANK, Ask, Canary
from vllmd.engine.liveness.progress import Judge, Judgement, LoadJudge, Verdict
from vllmd.engine.liveness.reading import Activity, Answer, Reading
from vllmd.engine.phases import SPANS, is_waiting_notice, parse_phase
from vllmd.engine.sizes import parse_size
from vllmd.engine.state import Event, State
from vllmd.shim.protocol import RunRecord

LOADING_POLL_S = 0.5
SILENT_POLLS = 3
"""So many polls in a row without an answer make an engine unreachable: one may be lost to load."""


@attrs.frozen
class Probes:
    """What is asked of a running engine."""

    loading: Callable[[], Awaitable[bool]]
    """Whether its API answers."""
    serving: Callable[[], Awaitable[Reading]]
    """What its page shows; never raises."""
    owns_port: Callable[[int], bool | None]
    """Whether a process below that shim listens on the engine's port; None if not known."""
    forget: Callable[[], None]
    """Told when the engine is gone, so that nothing read from it is shown any longer."""
    activity: Callable[[int, int], Activity | None] = lambda _shim, _engine: None
    """What the processes below that shim, and that main process, have used; None if not known."""
    pages: Callable[[], bytes] = bytes
    """Its pages of the last minutes, as text."""
    canary: Ask | None = None
    """Sends a completion of one token; None if that is not wanted."""


@attrs.frozen
class Stall:
    """An engine that is to be killed: it was looked into, and made no progress meanwhile."""

    label: str
    """`exits.STALLED` or `exits.LOAD_STALLED`."""
    reason: str


Diagnose = Callable[[RunRecord, str, Activity | None], Awaitable[Path | None]]
"""Writes down where the processes of a run stand; returns the folder, None if it could not."""


@attrs.define
class Watch:
    """One engine, followed; `run` lasts until it is cancelled, or the engine is to be killed.

    Its settings may be replaced meanwhile: the next look goes by them.
    """

    ledger: Ledger
    probes: Probes
    clock: Clock
    poll_s: float
    port: int
    limits: Liveness
    gpu: GpuView
    diagnose: Diagnose
    loaded: Callable[[], None] = lambda: None
    """Told when the engine is ready for the first time in this run."""

    async def run(self, run: RunRecord) -> Stall:
        """Follow the engine of `run`, from where the ledger has it.

        Returns: why it is to be killed.
        """
        if not self.ledger.has_served:
            stall = await self._until_ready(run)
            if stall is not None:
                return stall
            self.ledger.ready()
            self.loaded()
        return await self._serve(run)

    async def look_first(self, run: RunRecord) -> None:
        """Look at an engine that served under an earlier daemon, before anything is said of it.

        One that refuses does not serve any more. A page that is only late says nothing: that is
        judged by later looks.
        """
        reading = await self.probes.serving()
        if reading.answer is Answer.PAGE and self.probes.owns_port(run["shim_pid"]) is False:
            reading = Reading(reading.at, Answer.REFUSED)
        self._note(reading, SILENT_POLLS if reading.answer is Answer.REFUSED else 0)

    def span_ended(self, name: str, at: float) -> None:
        """Note a span of the start under way that ended at `at`, in seconds since the epoch."""
        if self.ledger.state is State.LOADING:
            self.ledger.reach(SPANS.get(name), at)

    async def _until_ready(self, run: RunRecord) -> Stall | None:
        log = output_of(run)
        judge = LoadJudge(self.limits.load_stall_s)
        judged_at, spoke = self.clock.monotonic(), False
        while True:
            lines = new_lines(log)
            spoke = spoke or any(not is_waiting_notice(line) for line in lines)
            for line in lines:  # one by one: a phase may be over within a poll
                self.ledger.reach(parse_phase(line))
                self.ledger.learn(parse_size(line))
            if await self.probes.loading():
                if self.probes.owns_port(run["shim_pid"]) is not False:
                    return None
                self.ledger.found(
                    f"port {self.port} is answered by a process that is not this engine: end it "
                    f"(ss -ltnp 'sport = {self.port}') or give the engine another port"
                )
            now = self.clock.monotonic()
            judge.limit_s = self.limits.load_stall_s
            if now - judged_at >= self.poll_s and self.ledger.state is State.LOADING:
                activity = None if spoke else self.activity(run)
                reason = judge.judge(now, spoke=spoke, activity=activity)
                judged_at, spoke = now, False
                if reason and await self._stalled(run, reason):
                    return Stall(exits.LOAD_STALLED, reason)
            await self.clock.sleep(LOADING_POLL_S)

    async def _serve(self, run: RunRecord) -> Stall:
        judge = Judge(self.limits)
        own: Canary | None = None
        silent = 0
        try:
            while True:
                own = self._canary(own)
                judge.limits = self.limits
                await self.clock.sleep(self.poll_s)
                reading = await self.probes.serving()
                silent = 0 if reading.answer is Answer.PAGE else silent + 1
                self._note(reading, silent)
                judgement = self._judge(judge, own, run, reading)
                if judgement.verdict is not Verdict.STALLED:
                    self._recovered(reading, judgement)
                elif self.ledger.state is not State.STALLED:
                    if not await self._stalled(run, judgement.reason):
                        continue
                    again = self._judge(judge, own, run, await self.probes.serving())
                    if again.verdict is Verdict.STALLED:
                        return Stall(exits.STALLED, again.reason)
                    self.ledger.to(Event.PROGRESSED)
        finally:
            if own is not None:
                own.close()

    def _canary(self, own: Canary | None) -> Canary | None:
        """Return the canary that is wanted now: the one there is, another one, or none."""
        ask, every_s = self.probes.canary, self.limits.canary_every_s
        if own is not None:
            if own.ask is ask and own.every_s == every_s:
                return own
            own.close()
        return Canary(ask, self.clock, every_s) if ask else None

    def _judge(
        self, judge: Judge, own: Canary | None, run: RunRecord, reading: Reading
    ) -> Judgement:
        if own is not None and reading.answer is Answer.PAGE:
            steps = sum(rank.steps for rank in reading.ranks.values())
            idle = not any(rank.has_work for rank in reading.ranks.values())
            rank = own.look(steps, idle and not reading.sleeping)
            if own.problem is not None:
                self.ledger.found(f"the canary was not answered as it should be: {own.problem}")
            if rank is not None:
                reading = attrs.evolve(reading, ranks={**reading.ranks, RANK: rank})
        return judge.judge(reading, lambda: self.activity(run))

    def activity(self, run: RunRecord) -> Activity | None:
        """Return what its processes have used, and what their GPU does for them."""
        shim_pid = run["shim_pid"]
        used = self.probes.activity(shim_pid, run["engine_pid"])
        if used is None:
            return None
        busy, held = self.gpu.busy(shim_pid), self.gpu.memory_bytes(shim_pid)
        return attrs.evolve(used, gpu_busy=busy, gpu_memory_bytes=held)

    def _note(self, reading: Reading, silent: int) -> None:
        """Follow what the page says into the states that it names."""
        self.ledger.show(reading)
        state = self.ledger.state
        if silent == SILENT_POLLS and state in (State.READY, State.SLEEPING):
            self.ledger.requests = None
            self.ledger.to(Event.WENT_SILENT)
        if silent:
            return
        if state is State.UNREACHABLE or (state is State.SLEEPING and not reading.sleeping):
            self.ledger.to(Event.ANSWERED)
        if self.ledger.state is State.READY and reading.sleeping:
            self.ledger.to(Event.SLEPT)

    def _recovered(self, reading: Reading, judgement: Judgement) -> None:
        """Take a stall back that was only said, not acted upon."""
        if self.ledger.state is State.STALLED and reading.answer is Answer.PAGE:
            self.ledger.log.info(events.ENGINE_PROGRESSED, verdict=str(judgement.verdict))
            self.ledger.problem = None
            self.ledger.to(Event.PROGRESSED)

    async def _stalled(self, run: RunRecord, reason: str) -> bool:
        """Say that the engine is stalled, and look into it.

        Returns: whether it is to be killed, if it stays so.
        """
        self.ledger.found(reason)
        if self.ledger.state is not State.STALLED:
            self.ledger.to(Event.STALLED)
        folder = await self.diagnose(run, reason, self.activity(run))
        self.ledger.log.error(
            events.ENGINE_STALLED,
            reason=reason,
            incident=str(folder) if folder else None,
            acted=self.limits.restart_stalled,
            consequence="it is killed and started again"
            if self.limits.restart_stalled
            else "none: liveness.restart_stalled is false",
        )
        return self.limits.restart_stalled
