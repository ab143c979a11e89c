"""What follows of answers that are wrong, and of such that are right again."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from vllmd.config.model import EngineConfig
from vllmd.config.probe import ALERT, DRAIN, RESTART
from vllmd.engine.answers import Answers
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.events.base import emit
from vllmd.events.probe import ProbeRight, ProbeWrong
from vllmd.probe.reference import KeptProbe, Reference
from vllmd.util.clock import Clock

LOOK_S = 1.0
CAUSE = "wrong_answers"
FILES = "files"
_SAID = {
    ALERT: "an alert alone: probe.on_mismatch is alert",
    DRAIN: "it takes no requests until its answers are right",
    RESTART: "it takes no requests, and is started again",
}


@attrs.define
class Consequences:
    """Those for one engine; `kept` is what the next daemon goes on with."""

    log: Any
    clock: Clock
    status: Callable[[], EngineStatus | None]
    answers: Callable[[], Answers | None]
    _ending: str | None = attrs.field(default=None, init=False)
    """The run that is to end."""

    def right(
        self, kept: KeptProbe, reference: Reference, run_id: str, distance: float
    ) -> KeptProbe:
        """Note that the answers are right; requests may come again."""
        if kept.wrong is not None:
            emit(self.log, ProbeRight(distance=round(distance, 4)))
        self._ending = None
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
    ) -> KeptProbe:
        """Note that the answers are wrong, and keep requests away if that is wanted.

        `why` is what they were asked for, `changed` what is another since the reference.
        """
        assert engine.probe is not None
        acts, restarts = engine.probe.on_mismatch, kept.restarts
        if changed:
            found += f"; another {', '.join(changed)} than when the reference was recorded"
        consequence = _SAID[acts]
        if FILES in changed:
            acts, consequence = ALERT, "an alert alone: the model's files are others"
        elif acts == RESTART and restarts:
            consequence = f"{_SAID[DRAIN]}: a start has not helped"
        elif acts == RESTART:
            self._ending, restarts = run_id, 1
        if acts == ALERT:
            self.let_come()
        elif (answers := self.answers()) is not None:
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
        now = self.clock.time()
        return attrs.evolve(kept, asked_at=now, run_id=run_id, wrong=found, restarts=restarts)

    def let_come(self) -> None:
        """Keep no requests away any more."""
        if (answers := self.answers()) is not None:
            answers.withhold(None)

    async def restart_if_due(self, kept: KeptProbe, engine: EngineConfig) -> None:
        """End a run for its answers, once load balancers have seen it red and it is idle."""
        run_id, self._ending = self._ending, None
        answers = self.answers()
        if run_id is None or kept.wrong is None or answers is None:
            return
        red = self.clock.monotonic() + engine.unready_s
        latest = red + engine.drain_s
        while True:
            status, now = self.status(), self.clock.monotonic()
            if status is None or status.run_id != run_id or status.state is not State.READY:
                return
            if now >= latest or (now >= red and not status.busy):
                return answers.end(run_id, kept.wrong)
            await self.clock.sleep(LOOK_S)
