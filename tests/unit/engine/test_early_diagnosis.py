import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import status
from vllmd.engine import early_diagnosis
from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Diagnosis, Facts
from vllmd.engine.doubts import Doubts
from vllmd.engine.early_diagnosis import EarlyDiagnosis
from vllmd.engine.state_machine import State
from vllmd.events.engine import EngineDoubted
from vllmd.logs.milestones import TRACEBACK

RANK = "(Worker pid=7) ERROR 11-23 18:48:07 [multiproc_executor.py:1063] "
LINES = [
    f"{RANK}WorkerProc hit an exception.",
    f"{RANK}Traceback (most recent call last):",
    f"{RANK}ValueError: LoRA rank 32 is greater than max_lora_rank 16.",
]


class Printed:
    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def before(self, printed: Sequence[str]) -> list[str]:
        return [*self.lines, *printed]


class Scene:
    def __init__(self, *lines: str) -> None:
        self.printed = Printed(*lines)
        self.engine = status(state=State.LOADING, run_id="r1")
        self.doubts = Doubts()
        self.early = EarlyDiagnosis(
            lambda: [self.engine],
            {"chat": self.printed},
            self.doubts,
            FakeClock(),
            lambda line: line.replace("s3cret", "***"),
        )

    def look(self) -> list[Any]:
        with capture_logs() as logs:
            asyncio.run(self.early.look())
        return logs


def test_look_tells_nothing_of_an_error_that_vllm_logs_and_goes_on_from() -> None:
    text = "Cannot use FA version 2: it is only supported on devices with compute capability >= 8"
    line = f"(EngineCore pid=7) ERROR 11-23 18:48:07 [fa_utils.py:57] {text}"
    scene = Scene(line)
    assert diagnose(Facts("1", (line,))).cause != "unknown"
    assert scene.look() == []
    scene.printed.lines += LINES
    (told,) = scene.look()
    assert "(cause: lora_rank)" in told["found"]


def test_look_tells_the_cause_that_a_start_has_printed_while_it_still_runs() -> None:
    scene = Scene(*LINES)
    (told,) = scene.look()
    assert (told["event"], told["check"], told["engine"]) == (EngineDoubted.name, "output", "chat")
    assert "(cause: lora_rank)" in told["found"]
    (doubt,) = scene.doubts.of(scene.engine)
    assert doubt.found == told["found"]
    assert any("LoRA rank 32" in line for line in doubt.evidence)


def test_look_tells_each_cause_of_a_run_once() -> None:
    scene = Scene(*LINES)
    scene.look()
    assert scene.look() == []
    scene.engine = status(state=State.LOADING, run_id="r2")
    assert len(scene.look()) == 1


def test_look_reads_the_same_lines_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load takes minutes, and may go on for all of them after an error that it survived."""
    read: list[Facts] = []

    def noted(facts: Facts) -> Diagnosis:
        read.append(facts)
        return diagnose(facts)

    monkeypatch.setattr(early_diagnosis, "diagnose", noted)
    scene = Scene("ERROR 11-23 18:48:07 [x.py:1] OSError: something odd")
    scene.look()
    scene.look()
    assert len(read) == 1
    scene.printed.lines += LINES
    (told,) = scene.look()
    assert "(cause: lora_rank)" in told["found"]
    assert len(read) == 2


def test_look_reads_aside_and_says_nothing_of_a_start_that_ended_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(*LINES)
    threads = []

    def noted(facts: Facts) -> Diagnosis:
        threads.append(threading.current_thread())
        scene.engine = status(state=State.BACKOFF, run_id="r1")
        return diagnose(facts)

    monkeypatch.setattr(early_diagnosis, "diagnose", noted)
    assert scene.look() == []
    assert threads != [threading.main_thread()]
    assert len(threads) == 1


def test_look_says_nothing_of_no_errors_of_unknown_ones_and_of_an_engine_that_serves() -> None:
    assert Scene().look() == []
    assert Scene("ERROR 11-23 18:48:07 [x.py:1] OSError: something odd").look() == []
    serves = Scene(*LINES)
    serves.engine = status(state=State.READY, run_id="r1")
    assert serves.look() == []


def test_look_says_nothing_of_a_suspicion() -> None:
    lines = ("EngineCore failed to start.", TRACEBACK, '  File "/srv/a.py", line 1, in f')
    printed = [f"(EngineCore pid=7) ERROR 11-23 18:48:07 [core.py:1] {line}" for line in lines]
    printed.append(printed[0].replace(lines[0], "ray.exceptions.OddError: what is this"))
    assert diagnose(Facts("1", tuple(printed))).perhaps == "ray_resources"
    assert Scene(*printed).look() == []


def test_look_masks_what_it_quotes() -> None:
    scene = Scene(*LINES[:2], f"{LINES[2]} s3cret")
    assert "s3cret" not in str(scene.look())


def test_look_forgets_what_engines_printed_that_are_configured_no_more() -> None:
    scene = Scene(*LINES)
    scene.look()
    assert set(scene.early._read) == {"chat"}
    scene.engine = status("other", run_id="r1")
    scene.look()
    assert (scene.early._read, scene.early._told) == ({}, {})
