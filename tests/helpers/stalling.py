"""A simulated engine, minute by minute: what it counts, and what its processes have used."""

import attrs

from vllmd.config.model import LivenessConfig
from vllmd.engine.liveness.reading import (
    PageAnswer,
    ProcessActivity,
    RankProgress,
    Reading,
)

LIMITS = LivenessConfig(stall_s=120, hang_s=600)
POLL_S = 5.0


@attrs.define
class Engine:
    """A simulated engine: what it counts, and what its processes have used."""

    at: float = 0.0
    steps: float = 0.0
    stepped_at: float = 0.0
    running: int = 0
    waiting: int = 0
    sleeping: bool = False
    answer: PageAnswer = PageAnswer.PAGE
    api_cpu_s: float = 0.0
    core_cpu_s: float = 0.0

    def reading(self) -> Reading:
        if self.answer is not PageAnswer.PAGE:
            return Reading(self.at, self.answer)
        ranks = {"0": RankProgress(self.steps, self.running, self.waiting)}
        return Reading(self.at, PageAnswer.PAGE, ranks, self.sleeping)

    def activity(self) -> ProcessActivity:
        return ProcessActivity(self.api_cpu_s, self.core_cpu_s, 0)

    def step(self, count: int = 1) -> None:
        self.steps += count
        self.stepped_at = self.at

    def passes(self, seconds: float, *, cpu: float = 0.0, api_cpu: float = 0.0) -> None:
        self.at += seconds
        self.core_cpu_s += cpu * seconds
        self.api_cpu_s += api_cpu * seconds
