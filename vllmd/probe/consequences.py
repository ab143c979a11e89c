"""What follows of answers that are wrong, and of such that are right again."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from vllmd.config.model import EngineConfig
from vllmd.config.probe import ALERT, DRAIN, RESTART
from vllmd.engine.answers import Answers
from vllmd.engine.status import EngineStatus
from vllmd.events.base import emit
from vllmd.events.probe import ProbeRight, ProbeWrong
from vllmd.probe.reference import KeptProbe, Reference
from vllmd.util.clock import Clock

CAUSE = "wrong_answers"
FILES = "files"
_SAID = {
    ALERT: "an alert alone: probe.on_mismatch is alert",
    DRAIN: "it takes no requests until its answers are right",
    RESTART: "it takes no requests, and is started again",
}
_REMOVED = "an alert alone: its table probe was removed"


@attrs.define
class Consequences:
    """Those for one engine; `kept` is what the next daemon goes on with."""

    log: Any
    clock: Clock
    status: Callable[[], EngineStatus | None]
    answers: Callable[[], Answers | None]
    _red_at: float | None = attrs.field(default=None, init=False)
    """Since when the run that is to end is kept red for that, monotonic."""

    def right(
        self, kept: KeptProbe, reference: Reference, run_id: str, distance: float
    ) -> KeptProbe:
        """Note that the answers are right; requests may come again."""
        if kept.wrong is not None:
            emit(self.log, ProbeRight(distance=round(distance, 4)))
        self.let_come()
        return KeptProbe(reference, self.clock.time(), run_id)

    def wrong(
        self,
        kept: KeptProbe,
        engine: EngineConfig,
        run_id: str,
        found: str,
        why: str,
        changed: Sequence[str],
        computed_by: str,
    ) -> KeptProbe:
        """Note that the answers are wrong, and keep requests away if that is wanted.

        `why` is what they were asked for, `changed` what is another since the reference,
        `computed_by` the command and the GPUs.
        """
        assert engine.probe is not None
        acts, ending, answers = engine.probe.on_mismatch, kept.ending, self.answers()
        restarts = kept.restarts + (ending is not None and ending != run_id)
        ending = None
        if changed:
            found += f"; another {', '.join(changed)} than when the reference was recorded"
        consequence = _SAID[acts]
        if acts != ALERT and answers is not None and not answers.withholds:
            acts, consequence = ALERT, _REMOVED
        elif FILES in changed:
            acts, consequence = ALERT, "an alert alone: the model's files are others"
        elif acts == RESTART and restarts:
            consequence = f"{_SAID[DRAIN]}: a start has not helped"
        elif acts == RESTART:
            ending = run_id
        if acts == ALERT:
            self.let_come()
        elif answers is not None:
            answers.withhold(found)
        if kept.wrong is None or kept.run_id != run_id:
            name = engine.name
            advice = (
                f"see 'vllmd probe {name}' and 'vllmd gpu'; if these answers are right, 'vllmd "
                f"probe {name} --record'"
            )
            event = ProbeWrong(
                cause=CAUSE, found=found, asked_for=why, consequence=consequence, advice=advice
            )
            emit(self.log, event)
        return attrs.evolve(
            kept,
            asked_at=self.clock.time(),
            run_id=run_id,
            wrong=found,
            restarts=restarts,
            ending=ending,
            withheld=None if acts == ALERT else computed_by,
        )

    def alert_alone(self, kept: KeptProbe) -> KeptProbe:
        """Let requests come, and have no run ended any more."""
        self.let_come()
        return attrs.evolve(kept, ending=None, withheld=None)

    def withhold_again(self, kept: KeptProbe, run_id: str | None) -> None:
        """Keep requests from the run that an earlier daemon kept them from."""
        answers = self.answers()
        is_it = kept.withheld is not None and run_id is not None and kept.run_id == run_id
        if answers is not None and kept.wrong is not None and is_it:
            answers.withhold(kept.wrong)

    def carry(self, kept: KeptProbe, run_id: str | None, computed_by: str) -> None:
        """Keep requests from a later run of the same, until it was asked itself.

        The run that was asked may be found late by a daemon that begins: what it knows of the run
        is in another file, which may be gone.
        """
        answers = self.answers()
        if answers is None or kept.wrong is None or run_id is None:
            return
        if run_id == kept.run_id:
            return self.withhold_again(kept, run_id)
        answers.withhold(kept.wrong if is_same(kept, computed_by) else None)

    def let_come(self) -> None:
        """Keep no requests away any more, and end no run that was not asked to end yet."""
        if (answers := self.answers()) is not None:
            answers.withhold(None)
            answers.condemned = None

    def restart_if_due(self, kept: KeptProbe, engine: EngineConfig) -> None:
        """Have a run ended for its answers, once load balancers have seen it red.

        It is drained as it is ended, so requests in flight are not waited for here.
        """
        status, answers, now = self.status(), self.answers(), self.clock.monotonic()
        is_it = status is not None and status.run_id == kept.ending and status.up
        if answers is None or kept.ending is None or kept.wrong is None or not is_it:
            self._red_at = None
            return
        self._red_at = now if self._red_at is None else self._red_at
        if now >= self._red_at + engine.unready_s:
            answers.end(kept.ending, kept.wrong)


def is_same(kept: KeptProbe, now: str) -> bool:
    """Tell whether what requests are kept from computes: its command, and GPUs that were read."""
    (own, *gpus), (own_before, *gpus_before) = now.split(), (kept.withheld or "nothing").split()
    return own == own_before and (gpus == gpus_before or not gpus or not gpus_before)
