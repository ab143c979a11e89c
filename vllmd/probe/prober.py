"""The answers of one engine, looked at when it is time; and what follows if they are wrong."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import structlog

from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.config.probe import ALERT
from vllmd.engine.answers import Answers
from vllmd.engine.status import EngineStatus
from vllmd.errors import HeldError
from vllmd.events.base import emit
from vllmd.events.probe import (
    ProbeDiffered,
    ProbeNotApplicable,
    ProbeNotRecorded,
    ProbeRecorded,
)
from vllmd.probe import reference as references
from vllmd.probe.answer import PromptAnswer
from vllmd.probe.asking import Asker, NotApplicableError, NotAskedError
from vllmd.probe.consequences import Consequences, is_same
from vllmd.probe.due import RETRY_S, Due, Sight
from vllmd.probe.identity import AnswersIdentity, carried
from vllmd.probe.judge import Judgement, judge, limit_of
from vllmd.probe.looking import Looking, Outcome, Recording
from vllmd.probe.reference import KeptProbe, Reference
from vllmd.probe.run_identity import RunIdentity
from vllmd.probe.status import AnswersVerdict, ProbeStatus
from vllmd.util.clock import Clock
from vllmd.util.state_file import NotRead, StateFile

LOOK_S = 2.0
MOST_SHOWN = 1000.0
"""Nats: what cannot be compared at all is so far."""

VLLMD = "vllmd"
"""Who recorded answers that no user did."""

_OLDER = (
    "its answers are not looked at: it runs with another command than it is configured with, and "
    "was not asked before that changed: 'vllmd restart {name}'"
)
_WITHHELD = (
    "its answers are not recorded: this run takes no requests as they were wrong, and what they "
    "were compared with is gone, or of another model. Restart it, or, if they are right, 'vllmd "
    "probe {name} --record'"
)

_log = structlog.get_logger()


@attrs.frozen
class GpuSight:
    """What is known of an engine's GPUs."""

    names: Sequence[str] = ()
    faults: Mapping[str, float] = attrs.field(factory=dict)
    """Xids and ECC errors since the boot, of each GPU by what was read: more are a reason to ask.
    What was not read is absent."""
    uuids: Sequence[str] = ()


@attrs.frozen
class EngineView:
    """What a prober is told of its engine by others."""

    status: Callable[[], EngineStatus | None]
    """None if it is not configured any more."""
    answers: Callable[[], Answers | None]
    gpus: Callable[[], GpuSight]
    corrupted: Callable[[], float | None]
    """Requests with values that are no numbers, as its page counts them."""
    spent: Callable[[str, int, int, int], None]
    """Told of a run's tokens, in and out, and requests that are no traffic."""


class Prober:
    """One engine's. `run` goes on as long as the daemon."""

    def __init__(
        self,
        engine: EngineConfig,
        command: Command,
        view: EngineView,
        ask: Callable[[EngineConfig, Command], Asker],
        file: StateFile,
        clock: Clock,
    ) -> None:
        self._view, self._file, self._clock, self._make_asker = view, file, clock, ask
        self._lock = asyncio.Lock()
        self._identity = RunIdentity()
        self._kept = KeptProbe()
        self._loaded = False
        self._due = Due(clock, lambda: view.gpus().faults, view.corrupted)
        self._asked = self._mismatches = 0
        self._right_at: float | None = None
        self._found: str | None = None
        self._not_applicable: str | None = None
        self._judgement: Judgement | None = None
        self._log = _log.bind(engine=engine.name)
        self._consequences = Consequences(self._log, clock, view.status, view.answers)
        self.configure(engine, command)

    def configure(self, engine: EngineConfig, command: Command) -> None:
        """Take over other settings."""
        assert engine.probe is not None
        self._engine, self._config, self._command = engine, engine.probe, command
        self._not_applicable = None
        self._due.now()
        if self._config.on_mismatch == ALERT:
            self.close()

    def close(self) -> None:
        """Keep no requests from it any more, and end no run."""
        kept = self._consequences.alert_alone(self._kept)
        if kept != self._kept:
            self._kept = kept
            self._file.save(references.to_json(kept))

    # --- what others ask of it ---------------------------------------------------------------

    @property
    def status(self) -> ProbeStatus:
        """What is known now."""
        kept, judgement = self._kept, self._judgement
        now = self._view.status()
        reference = kept.reference
        verdict = self._verdict(now.run_id if now is not None else None)
        other = None if verdict is AnswersVerdict.WRONG else self._not_applicable
        return ProbeStatus(
            verdict=verdict,
            on_mismatch=self._config.on_mismatch,
            asked=self._asked,
            mismatches=self._mismatches,
            asked_in_run=self._due.was_asked(now.run_id if now is not None else None),
            asked_at=kept.asked_at,
            right_at=self._right_at,
            distance=min(MOST_SHOWN, judgement.distance) if judgement else None,
            limit=judgement.limit if judgement else None,
            recorded_at=reference.recorded_at if reference else None,
            recorded_by=reference.by if reference else None,
            recorded_with=reference.identity.numerics.get("vllm") if reference else None,
            found=other or kept.wrong or self._found,
            corrupted=self._view.corrupted(),
        )

    def _verdict(self, run_id: str | None) -> AnswersVerdict:
        is_asked = run_id is not None and self._kept.run_id == run_id
        if is_asked and self._kept.wrong is not None:
            return AnswersVerdict.WRONG
        if self._not_applicable is not None:
            return AnswersVerdict.NOT_APPLICABLE
        if not is_asked or self._due.is_overdue(self._config.every_s):
            return AnswersVerdict.UNKNOWN
        return AnswersVerdict.RIGHT if self._kept.reference is not None else AnswersVerdict.UNKNOWN

    async def ask_now(self, record_by: str | None = None) -> dict[str, Any]:
        """Look at its answers now; with a name, take them for right in that name.

        Returns: what is known then, whether they were recorded, and in `problem` why nothing was
            found now, None if it was. Raises: HeldError: it cannot be asked.
        """
        async with self._lock:
            if (late := await self._load()) is not None:
                raise HeldError(f"{self._engine.name} is not asked: {late}; try again")
            status = self._view.status()
            if status is None or not status.up or status.run_id is None:
                state = status.state if status is not None else "gone"
                raise HeldError(f"{self._engine.name} is not asked: it is {state}, not ready")
            before = self._kept.reference
            problem = await self._probe("asked for", status, record_by)
            recorded = record_by is not None and self._kept.reference is not before
        return {**self.to_json(), "recorded": recorded, "problem": problem}

    def to_json(self) -> dict[str, Any]:
        """Return what is known, as `vllmd probe` shows it."""
        judgement = self._judgement
        worst = judgement.worst.worst if judgement else None
        return {
            "engine": self._engine.name,
            **self.status.to_json(),
            "overlap": judgement.overlap if judgement else None,
            "prompt": judgement.prompt if judgement and worst else None,
            "token": worst.place if worst else None,
            "expected": _likely(worst.expected.logprobs) if worst else None,
            "given": _likely(worst.found.logprobs) if worst else None,
        }

    # --- its work ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            async with self._lock:
                late, status = await self._load(), self._view.status()
                if status is not None and late is None:
                    self._consequences.carry(self._kept, status.run_id, self._computed_by(status))
                    wrong = self._kept.wrong is not None
                    why = self._due.why(status, self._config.every_s, wrong=wrong)
                    if why is not None:
                        await self._probe(why, status)
                self._consequences.restart_if_due(self._kept, self._engine)
            await self._clock.sleep(LOOK_S)

    def _computed_by(self, status: EngineStatus) -> str:
        """Return what computes the answers; the GPUs are left out until they were read."""
        uuids = self._view.gpus().uuids
        return " ".join([status.command_hash or self._command.hash, *sorted(uuids)])

    async def _load(self) -> str | None:
        """Read what an earlier daemon left, once; the disk is waited for in a thread.

        Returns: why nothing is asked yet: the present answers may be known to be wrong.
        """
        if self._loaded:
            return None
        status = self._view.status()
        found = await asyncio.to_thread(self._file.read, references.from_json)
        if isinstance(found, NotRead):
            self._found = f"what is known of its answers cannot be read: {found.problem}"
            return self._found
        self._found = None
        if found is not None and status is not None:
            self._kept = found
            self._consequences.withhold_again(found, status.run_id)
            ago_s = max(0.0, self._clock.time() - (found.asked_at or 0.0))
            self._due.resume(status, found.run_id, ago_s)
            if self._config.on_mismatch == ALERT:
                self.close()
        self._loaded = True
        return None

    async def _probe(
        self, why: str, status: EngineStatus, record_by: str | None = None
    ) -> str | None:
        """Look at its answers, and do what follows; returns why nothing was found."""
        answers, run_id = self._view.answers(), status.run_id
        if answers is None or run_id is None:
            return "it is not configured any more"
        asker = self._make_asker(self._engine, self._command)
        sight = self._due.sight(status)
        spend, check = functools.partial(self._spend, run_id), functools.partial(self._up, run_id)
        looking = Looking(asker, answers, spend, check)
        try:
            now = await self._identity_of(asker, status)
            if now is None:
                return self._leave(sight, _OLDER)
            reference = self._kept.reference
            if record_by is not None or reference is None or self._is_other(now, reference):
                carried = self._kept.wrong is not None and self._kept.run_id != run_id
                if record_by is None and answers.wrong is not None and not carried:
                    return self._leave(sight, _WITHHELD)
                await self._record(looking, now, why, record_by, run_id)
            else:
                found = await looking.look(reference, self._limit(reference, now))
                await self._conclude(looking, found, now, why, run_id)
        except NotAskedError as error:
            self._found = f"it was not asked: {error}"
            self._due.wait(sight, RETRY_S)
            return self._found
        except NotApplicableError as error:
            self._tell_not_applicable(str(error))
            red = self._kept.wrong is not None
            self._due.wait(sight, RETRY_S if red else self._config.every_s)
            return f"its answers cannot be looked at: {error}"
        self._not_applicable = None
        self._due.asked(sight)
        self._kept = self._identity.kept_in(self._kept)
        self._file.save(references.to_json(self._kept))
        return None

    def _leave(self, sight: Sight, why: str) -> str:
        """Look at nothing of a run now: say what is to be done first."""
        self._found = why.format(name=self._engine.name)
        self._due.wait(sight, self._config.every_s)
        return self._found

    def _up(self, run_id: str) -> None:
        """Raise NotAskedError if the run that is asked does not serve any more."""
        now = self._view.status()
        asleep = now is not None and now.sleep is not None and now.sleep.asleep_at is not None
        if now is None or not now.up or now.run_id != run_id or asleep:
            state = "gone" if now is None else "another run" if now.up else now.state
            raise NotAskedError(f"it is {'asleep' if asleep else state} now")

    def _wrong(self, run_id: str, found: str, why: str, changed: Sequence[str] = ()) -> None:
        status = self._view.status()
        by = self._computed_by(status) if status is not None else self._command.hash
        self._kept = self._consequences.wrong(
            self._kept, self._engine, run_id, found, why, changed, by
        )

    def _limit(self, reference: Reference, now: AnswersIdentity) -> float:
        other = carried(now, reference.identity) != reference.identity
        return limit_of(self._config.tolerance, reference.noise, other_numerics=other)

    @staticmethod
    def _is_other(now: AnswersIdentity, reference: Reference) -> bool:
        return carried(now, reference.identity).model != reference.identity.model

    async def _identity_of(self, asker: Asker, status: EngineStatus) -> AnswersIdentity | None:
        # as they are together with `status`: a reload may come in between
        engine, command, gpus = self._engine, self._command, self._view.gpus().names
        version = await asker.version()
        kept, same = self._kept, is_same(self._kept, self._computed_by(status))
        return await self._identity.of(status, kept, engine, command, version, gpus, as_kept=same)

    def _spend(self, run_id: str, found: Sequence[PromptAnswer]) -> None:
        prompt = sum(len(each.tokens) for each in found)
        self._view.spent(run_id, prompt, sum(len(each.places) for each in found), len(found))

    def _count(self, found: Outcome | Recording) -> None:
        self._asked += found.asked
        self._mismatches += found.mismatches

    async def _record(
        self, looking: Looking, now: AnswersIdentity, why: str, by: str | None, run_id: str
    ) -> None:
        """Take its answers for right, if they agree among themselves; `by` is who said so.

        Raises: NotAskedError, NotApplicableError.
        """
        made = await looking.record()
        self._count(made)
        if made.broken is not None:
            return self._wrong(run_id, made.broken, why)
        if made.differed is not None:
            emit(self._log, ProbeDiffered(found=made.differed))
        if made.problem is not None:
            return self._refuse(made.problem, by)
        before, distance = self._kept.reference, None
        if before is not None:
            limit = limit_of(self._config.tolerance, before.noise)
            distance = judge(before.answers, made.answers, limit).distance
            now = carried(now, before.identity)
        reference = Reference(now, made.answers, made.noise, self._clock.time(), by or VLLMD)
        changed = ", ".join(now.changed(before.identity)) if before else "none was there"
        event = ProbeRecorded(
            by=by or VLLMD,
            why=changed or why,
            noise=round(made.noise, 4),
            before=None if distance is None else round(min(distance, MOST_SHOWN), 4),
            warning=made.warning,
        )
        emit(self._log, event)
        limit = limit_of(self._config.tolerance, made.noise)
        self._judgement = judge(made.answers, made.answers, limit)
        self._found = made.warning
        self._is_right(run_id, reference)

    def _refuse(self, problem: str, by: str | None) -> None:
        """Note that nothing is known of its answers; if they were wrong, they still are.

        Unless those that were wrong are of another model, or a look has just found them right.
        """
        self._found = f"its answers are not taken for right: {problem}"
        emit(self._log, ProbeNotRecorded(problem=problem))
        kept = attrs.evolve(self._kept, asked_at=self._clock.time())
        if by is None and kept.reference is not None:
            kept = attrs.evolve(self._consequences.alert_alone(kept), wrong=None)
        self._kept = kept if kept.wrong is not None else attrs.evolve(kept, run_id=None)

    async def _conclude(
        self, looking: Looking, found: Outcome, now: AnswersIdentity, why: str, run_id: str
    ) -> None:
        """Do what follows of a look."""
        reference = self._kept.reference
        assert reference is not None
        now = carried(now, reference.identity)
        self._count(found)
        self._judgement, self._found = found.judgement, found.differed
        if found.wrong is not None:
            return self._wrong(run_id, found.wrong, why, now.changed(reference.identity))
        if found.differed is not None:
            emit(self._log, ProbeDiffered(found=found.differed))
        elif now != reference.identity:
            await self._record(looking, now, why, None, run_id)
            return
        self._is_right(run_id, reference)

    def _is_right(self, run_id: str, reference: Reference) -> None:
        distance = self._judgement.distance if self._judgement else 0.0
        self._kept = self._consequences.right(self._kept, reference, run_id, distance)
        self._right_at = self._kept.asked_at

    def _tell_not_applicable(self, problem: str) -> None:
        if problem != self._not_applicable:
            emit(self._log, ProbeNotApplicable(problem=problem))
        self._not_applicable = problem


def _likely(logprobs: Any) -> list[dict[str, float]]:
    ordered = sorted(logprobs.items(), key=lambda each: -each[1])
    return [{"token": token, "logprob": round(said, 4)} for token, said in ordered]
