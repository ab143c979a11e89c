import asyncio
import errno
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine, spec
from tests.helpers.probes import ProbesOfATest
from tests.helpers.shims import FakeShim
from tests.helpers.site import wait_for
from vllmd.config import command
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit, explain
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.incidents import recorder as recorder_module
from vllmd.engine.incidents.recorder import KEPT, IncidentRecorder
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.events.engine import IncidentFailed
from vllmd.shim.protocol import RunRecord
from vllmd.util.loop_lag import LoopLag


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    Path(tmp_path / "chat.log").write_text("before\nBoomError: s3cret word\nlast words\n")
    made = FakeShim(spec(tmp_path, ["x"])).run
    made["log_offset"] = len("before\n")
    return made


@pytest.fixture(autouse=True)
def kernel_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "kernel_lines", lambda since: f"since {since:.0f}\n")


class Probes(ProbesOfATest):
    def pages(self) -> bytes:
        return b"# then\nvllm:x 1\n"


class Gpus(EngineGpus):
    def recent(self) -> Sequence[Mapping[str, Any]]:
        return [{"uuid": "GPU-1", "memory_used_bytes": 5}]


def incidents(
    folder: Path,
    clock: FakeClock | None = None,
    *,
    probes: ProbesOfATest | None = None,
    gpu: EngineGpus | None = None,
    mask: Callable[[str], str] = str,
) -> IncidentRecorder:
    clock = clock or FakeClock()
    built = command.build(engine('env = { HF_TOKEN = "s3cret" }'), {"PATH": "/nonexistent"})
    engine_state = EngineState("chat", clock, RestartStateFile(folder / "chat.json"))
    return IncidentRecorder(
        folder / "incidents",
        engine_state,
        clock,
        built,
        limit_s=5,
        probes=probes or ProbesOfATest(),
        gpu=gpu or EngineGpus(),
        lag=LoopLag(clock),
        mask=mask,
    )


def end(run: RunRecord, **more: Any) -> Exit:
    ended = Exit("0", requested=False, at=5.0, run_id=run["run_id"], killed=("Worker (pid 7)",))
    return attrs.evolve(explain(ended, ["EngineDeadError"]), **more)


async def written() -> None:
    """Wait until the threads that write have nothing left to do."""
    loop = asyncio.get_running_loop()
    await loop.shutdown_default_executor()
    loop.set_default_executor(ThreadPoolExecutor())
    loop._executor_shutdown_called = False  # type: ignore[attr-defined]


async def test_before_kill_keeps_what_is_about_to_be_lost(
    tmp_path: Path, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    recorder = incidents(
        tmp_path,
        probes=Probes(),
        gpu=Gpus(),
        mask=lambda text: text.replace("s3cret", "***"),
    )
    made = await recorder.before_kill(
        run, "stands still", ProcessActivity(1.5, 2.5, 3, gpu_busy=True)
    )
    assert made is not None
    assert made.name == "19700112T140320Z-chat-run-1"
    about = json.loads((made / "reason.json").read_text())
    assert (about["reason"], about["run_id"]) == ("stands still", "run-1")
    assert (about["used"]["core_cpu_s"], about["used"]["gpu_busy"]) == (2.5, True)
    assert about["first_error"] == "BoomError: *** word"
    assert about["env"]["HF_TOKEN"] == "********"
    assert about["command"][1:3] == ["serve", "m"]
    assert isinstance(about["processes"], list)
    assert (made / "last-lines.log").read_text() == "BoomError: *** word\nlast words\n"
    assert gzip.decompress((made / "metrics.txt.gz").read_bytes()) == b"# then\nvllm:x 1\n"
    assert json.loads((made / "gpu.json").read_text())[0]["uuid"] == "GPU-1"
    assert "py-spy is not installed" in (made / "stacks.txt").read_text()
    assert b"s3cret" not in b"".join(path.read_bytes() for path in made.iterdir())
    wait_for("the kernel's lines", (made / "kernel.log").exists)
    assert (made / "kernel.log").read_text() == f"since {1_001_000 - 600}\n"
    assert recorder.after_end(run, end(run), ()) == made  # the same incident
    wait_for("the end", (made / "end.json").exists)
    assert json.loads((made / "end.json").read_text())["label"] == "0"
    wait_for("the report", (made / "why.txt").exists)
    assert (made / "why.txt").read_text().startswith("What: chat exited with code 0 unexpectedly")


async def test_after_end_of_a_crash_keeps_what_is_left(tmp_path: Path, run: RunRecord) -> None:
    ended = end(run, first_error="BoomError: a word")
    made = incidents(tmp_path).after_end(run, ended, ["BoomError: a word"])
    await written()
    about = json.loads((made / "reason.json").read_text())
    assert about["processes"] == ["Worker (pid 7)"]
    assert "exited with code 0 unexpectedly" in about["reason"]
    kept = json.loads((made / "end.json").read_text())
    assert kept["diagnosis"]["cause"] == "engine_core_died"
    assert "first_error" not in kept
    assert about["first_error"] == "BoomError: a word"
    assert not (made / "gpu.json").exists()
    assert not (made / "stacks.txt").exists()


async def test_incidents_are_bounded_for_each_engine(tmp_path: Path, run: RunRecord) -> None:
    clock = FakeClock()
    recorder = incidents(tmp_path, clock)
    other: RunRecord = {**run, "engine": "chat-2", "run_id": "other-1"}
    kept = recorder.after_end(other, end(other), ())
    for n in range(KEPT + 3):
        clock.now += 60
        again: RunRecord = {**run, "run_id": f"{n:08d}"}
        recorder.after_end(again, end(again), ())
        await written()
    assert len(list((tmp_path / "incidents").iterdir())) == KEPT + 1
    assert kept.exists()


async def test_incident_that_cannot_be_written_is_said_and_no_more(
    tmp_path: Path, run: RunRecord
) -> None:
    (tmp_path / "incidents").write_text("")
    with capture_logs() as logs:
        assert await incidents(tmp_path).before_kill(run, "r", None) is None
        await written()
    assert {each["event"] for each in logs} == {IncidentFailed.name}


def hang(monkeypatch: pytest.MonkeyPatch, *paths: object) -> None:
    """Let disks hang, by what is asked of them."""

    async def within(path: str, work: Callable[[], Any], limit_s: float) -> Any:
        if path in map(str, paths):
            raise TimeoutError(errno.ETIMEDOUT, "no answer", path)
        return work()

    monkeypatch.setattr(recorder_module, "run_within", within)


async def test_before_kill_with_a_hung_log_keeps_the_rest_and_says_so(
    tmp_path: Path, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(monkeypatch, run["log"])
    folder = await incidents(tmp_path).before_kill(run, "no step for 300s", None)
    assert folder is not None
    said = (folder / "last-lines.log").read_text()
    assert said == f"vllmd could not read {run['log']}: no answer\n"
    assert json.loads((folder / "reason.json").read_text())["reason"] == "no step for 300s"


async def test_before_kill_with_a_hung_folder_returns_and_says_so(
    tmp_path: Path, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang(monkeypatch, tmp_path / "incidents")
    with capture_logs() as told:
        assert await incidents(tmp_path).before_kill(run, "no step for 300s", None) is None
    await written()
    assert [each["event"] for each in told] == [IncidentFailed.name]
