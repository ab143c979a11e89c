"""A prober, and what it is told of its engine."""

import asyncio
from pathlib import Path
from typing import Any

from tests.helpers.clock import FakeClock, quiet
from tests.helpers.make import engine, status
from tests.unit.probe.made import FakeVllm
from vllmd.config import command
from vllmd.engine.answers import Answers
from vllmd.engine.status import EngineStatus
from vllmd.probe.asking import Asker
from vllmd.probe.prober import EngineView, GpuSight, Prober
from vllmd.probe.status import AnswersVerdict
from vllmd.util.state_file import StateFile

MOST_TURNS = 1000
"""A request takes many turns of the event loop; one that a test holds is not waited for."""


class Case:
    """A prober, and what it is told of its engine."""

    def __init__(
        self, folder: Path, text: str = "", file: str = "probe.json", model: str = "m"
    ) -> None:
        self.clock, self.vllm, self.answers = FakeClock(), FakeVllm(), Answers()
        self.status: EngineStatus | None = self.ready("one")
        self.gpus, self.corrupted = GpuSight(("H200",), {"ecc a": 0.0}), 0.0
        self.spent: list[tuple[str, int, int, int]] = []
        self.path, self.model = folder / file, model
        self.prober = self.made(text)

    def made(self, text: str = "") -> Prober:
        table = text if "[engines.chat.probe]" in text else f"{text}\n[engines.chat.probe]\n"
        self.engine = engine(table, self.model)
        view = EngineView(
            status=lambda: self.status,
            answers=lambda: self.answers,
            gpus=lambda: self.gpus,
            corrupted=lambda: self.corrupted,
            spent=lambda *spent: self.spent.append(spent),
        )
        file = StateFile(self.path, if_unusable="", if_not_written="")
        client = self.vllm.client()
        return Prober(
            self.engine,
            command.build(self.engine),
            view,
            lambda found, _: Asker(client, found.url, "chat"),
            file,
            self.clock,
        )

    @staticmethod
    def engine_hash(text: str) -> str:
        """Return the fingerprint of a command."""
        return command.build(engine(text)).hash

    @staticmethod
    def ready(run_id: str | None, **more: Any) -> EngineStatus:
        return status(run_id=run_id, requests_running=0, requests_waiting=0, **more)

    async def look(self) -> AnswersVerdict:
        """Let it do what is due, until it waits for the next time."""
        slept, task = len(self.clock.slept), asyncio.ensure_future(self.prober.run())
        for _ in range(MOST_TURNS):
            await quiet()
            if len(self.clock.slept) > slept or task.done():
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self.prober.status.verdict


async def asked(case: Case) -> int:
    """Return how many probes are asked now."""
    before = case.vllm.probes
    await case.look()
    return case.vllm.probes - before


async def wrong(case: Case) -> None:
    """Have its answers found wrong in a second run."""
    await case.look()
    case.vllm.seed, case.status = 2, case.ready("two")
    assert await case.look() is AnswersVerdict.WRONG
