"""The link on real processes that play a source, with short limits."""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from vllmd.gpu import reader_process as link_module
from vllmd.gpu import row_guard, wire
from vllmd.gpu.calls import RowKey
from vllmd.gpu.latest import LatestReadings, Periods
from vllmd.gpu.reader_process import STARTING, ReaderProcess
from vllmd.gpu.row_guard import RowGuard
from vllmd.util.clock import SystemClock

FAST = r"""import sys, time, os
def say(text): print(text, flush=True)
def fast(): say('{"v":1,"kind":"fast"}')
"""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(link_module, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(link_module, "LAST_LOOK_S", 0.05)


class Scene:
    def __init__(
        self, script: str, *, late_s: float = 0.4, first_s: float = 5.0, reads: str = "fast"
    ) -> None:
        self.told: list[tuple[RowKey, str | None]] = []
        self.guard = RowGuard(lambda key, why: self.told.append((key, why)))
        self.taken: list[Mapping[str, Any]] = []
        self.forgotten = 0
        argv = [sys.executable, "-I", "-S", "-c", FAST + script]
        self.reader = ReaderProcess(
            argv,
            self.taken.append,
            self._forget,
            SystemClock(),
            self.guard,
            late_s=late_s,
            first_s=first_s,
            reads=reads,
        )

    def _forget(self) -> None:
        self.forgotten += 1

    async def until(self, what: str, ask: Any) -> None:
        for _ in range(1000):
            if ask():
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"never came: {what}; {self.reader.problem}")


@asynccontextmanager
async def running(script: str, **more: Any) -> AsyncIterator[Scene]:
    scene = Scene(script, **more)
    task = asyncio.create_task(scene.reader.run())
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_source_that_reads_has_no_problem() -> None:
    async with running("fast(); sys.stdin.read()", late_s=60) as scene:
        assert scene.reader.problem == STARTING
        await scene.until("a reading", lambda: scene.reader.problem is None)
        assert scene.taken == [{"v": 1, "kind": "fast"}]
        process = scene.reader.process
        assert process is not None
    process.wait(5)


async def test_source_that_hangs_is_killed_and_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once = tmp_path / "once"
    script = f"fast()\nif os.path.exists('{once}'): sys.stdin.read()\nopen('{once}', 'w')\n"
    async with running(script + "time.sleep(600)", late_s=0.3) as scene:
        await scene.until("a second start", lambda: scene.reader.figures.starts == 2)
        assert scene.forgotten == 1
        await scene.until("readings again", lambda: scene.reader.problem is None)
    output = capsys.readouterr().out
    assert "said nothing for 0.3 s" in output
    assert "reason=hung" in output


async def test_source_that_dies_says_its_last_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running("raise RuntimeError('no pynvml')") as scene:
        await scene.until("its end", lambda: scene.reader.figures.starts >= 3)
        assert scene.reader.problem is not None
        assert scene.reader.problem.reason == "died"
        assert "code 1" in scene.reader.problem.text
        assert "no pynvml" in scene.reader.problem.text
    assert capsys.readouterr().out.count("gpu.reader_failed") == 1, "the same is said once"


async def test_source_says_its_problem_itself() -> None:
    script = """say('{"v":1,"kind":"problem","reason":"no_driver","text":"Driver Not Loaded"}')"""
    async with running(script) as scene:
        await scene.until("it", lambda: scene.reader.problem != STARTING)
        assert scene.reader.problem is not None
        assert scene.reader.problem.reason == "no_driver"


async def test_source_that_talks_nonsense_is_started_again() -> None:
    async with running("say('hello')") as scene:
        await scene.until("a second start", lambda: scene.reader.figures.starts >= 2)
        assert scene.reader.problem is not None
        assert "does not make sense" in scene.reader.problem.text


async def test_program_that_is_missing_is_a_problem() -> None:
    scene = Scene("")
    scene.reader._argv = ["/nonexistent/python"]
    task = asyncio.create_task(scene.reader.run())
    await scene.until("a problem", lambda: scene.reader.problem != STARTING)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scene.reader.problem is not None
    assert "/nonexistent/python" in scene.reader.problem.text


async def test_source_is_told_words() -> None:
    async with running(
        'fast()\nfor line in sys.stdin: say(\'{"v":1,"kind":"%s"}\' % line.strip())'
    ) as s:
        await s.until("a reading", lambda: s.reader.problem is None)
        assert s.reader.tell("processes")
        await s.until("an answer", lambda: {"v": 1, "kind": "processes"} in s.taken)


async def test_nobody_is_told_when_nobody_is_there() -> None:
    assert not Scene("").reader.tell("processes")


async def test_release_ends_the_source_until_the_time_is_over() -> None:
    async with running("fast(); sys.stdin.read()", late_s=60) as scene:
        await scene.until("a reading", lambda: scene.reader.problem is None)
        scene.reader.release(0.3)
        await scene.until("its end", lambda: scene.forgotten == 1)
        assert scene.reader.problem is not None
        assert scene.reader.problem.reason == "released"
        await scene.until("readings again", lambda: scene.reader.problem is None)
        assert scene.reader.figures.starts == 2


async def test_resume_ends_a_release_early() -> None:
    async with running("fast(); sys.stdin.read()", late_s=60) as scene:
        await scene.until("a reading", lambda: scene.reader.problem is None)
        scene.reader.release(600)
        await scene.until("its end", lambda: scene.forgotten == 1)
        scene.reader.resume()
        await scene.until("readings again", lambda: scene.reader.problem is None)


async def test_readers_that_do_not_die_are_not_piled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in the driver's uninterruptible sleep: here, one that nobody may kill."""
    alive: list[int] = []
    real_kill = os.kill
    monkeypatch.setattr(os, "kill", lambda pid, _signal: alive.append(pid))
    async with running("fast(); time.sleep(600)", late_s=0.1) as scene:
        await scene.until("the limit", lambda: scene.reader.figures.stuck == 3)
        await asyncio.sleep(0.3)
        assert scene.reader.figures.starts == 3
        assert scene.reader.problem is not None
        assert "3 readers hang" in scene.reader.problem.text
        monkeypatch.setattr(os, "kill", real_kill)
        for pid in alive:
            real_kill(pid, signal.SIGKILL)
        await scene.until("another start", lambda: scene.reader.figures.starts >= 4)


MESSAGES: dict[str, dict[str, Any]] = {
    "hello": {"source": "nvml", "driver": "1", "library": "/x", "pid": 1},
    "devices": {"devices": [{"uuid": "GPU-1", "index": 0, "name": "n", "pci_bus_id": "0:0"}]},
    "fast": {
        **{"at": 1.0, "took_s": 0.1, "cpu_s": 1.0, "rss": 1},
        **{"values": {"GPU-1": {"power_watts": 1.0}}, "lost": {}, "errors": {}},
    },
    "processes": {
        **{"at": 1.0, "took_s": 0.1},
        "devices": {
            "GPU-1": {
                "memory": {"total": 1, "free": 1, "used": 1, "reserved": 1},
                "processes": [[1, 2]],
            }
        },
    },
    "problem": {"reason": "no_gpu", "text": "none"},
}


def broken_messages() -> list[bytes]:
    """Return every message with each key left out in turn, or with something else in its place."""
    lines = []
    for kind, content in MESSAGES.items():
        for key in content:
            lines.append(wire.encode(kind, **{k: v for k, v in content.items() if k != key}))
            for other in (None, 7, "x", [1], {"a": 1}, [["x"]], {"GPU-1": None}, {"GPU-1": [1]}):
                lines.append(wire.encode(kind, **{**content, key: other}))
    return lines


async def test_message_that_lacks_something_never_ends_whoever_listens() -> None:
    """A part of the daemon would end with it, and the reading of all GPUs."""
    told = 0
    for line in broken_messages():
        latest = LatestReadings(Periods(), 60.0)
        take = functools.partial(LatestReadings.take, latest, now=0.0)
        process = ReaderProcess(["x"], take, lambda: None, SystemClock(), RowGuard(print), late_s=9)
        reader = asyncio.StreamReader()
        for kind in ("hello", "devices"):
            reader.feed_data(wire.encode(kind, **MESSAGES[kind]))
        reader.feed_data(line + wire.encode("problem", reason="hung", text="the end"))
        problem = await process._listen(reader, None)  # type: ignore[arg-type]
        told += "does not make sense" in problem.text
    assert told > 30


async def test_source_of_another_version_is_a_problem_that_says_what_to_do() -> None:
    script = """say('{"v":2,"kind":"fast"}'); time.sleep(60)"""
    async with running(script, late_s=60) as scene:
        await scene.until("it", lambda: scene.reader.problem != STARTING)
        assert scene.reader.problem is not None
        assert "systemctl restart vllmd-daemon" in scene.reader.problem.text
        await scene.until("another try", lambda: scene.reader.figures.starts > 1)


async def test_source_that_cannot_be_listened_to_is_a_problem_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No file descriptor is left."""

    async def fails(*_: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "connect_read_pipe", fails, raising=False)
    async with running("fast(); sys.stdin.read()", late_s=60) as scene:
        await scene.until("a second try", lambda: scene.reader.figures.starts > 1)
        assert scene.reader.problem is not None
        assert "Too many open files" in scene.reader.problem.text
        monkeypatch.undo()
        await scene.until("readings", lambda: scene.reader.problem is None)


class NoPause(SystemClock):
    """Pauses are noted and not made."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


async def pauses_after(script: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(link_module, "FIRST_PAUSE_S", 1.0)
    monkeypatch.setattr(link_module, "LONGEST_PAUSE_S", 60.0)
    scene, clock = Scene(script, late_s=60), NoPause()
    scene.reader._clock = clock
    task = asyncio.create_task(scene.reader.run())
    await scene.until("pauses", lambda: len(clock.pauses) >= 8)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return clock.pauses[:8]


async def test_pause_after_a_crash_grows_to_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await pauses_after("os.abort()", monkeypatch) == [1, 2, 4, 5, 5, 5, 5, 5]


async def test_pause_after_a_mistake_of_our_own_grows_to_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No library is there: nothing comes of trying often."""
    assert (await pauses_after("import nothing_of_that_name", monkeypatch))[-1] == 60


async def test_line_that_came_while_nobody_ran_is_not_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host was suspended, or the daemon was: time is over, and the line is there."""
    scene = Scene("", late_s=60)
    reader = asyncio.StreamReader()
    limits: list[asyncio.Timeout] = []

    def over_at_once(_seconds: float) -> asyncio.Timeout:
        limits.append(asyncio.timeout(0))
        return limits[-1]

    monkeypatch.setattr(scene.reader, "limit", over_at_once)
    asyncio.get_running_loop().call_soon(reader.feed_data, b"late\n")
    assert await scene.reader._next(reader, 1.0) == b"late\n"
    assert limits[0].expired()
    with pytest.raises(TimeoutError):
        await scene.reader._next(reader, 1.0)


async def test_pause_after_a_problem_that_nvml_tells_grows_to_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = """say('{"v":1,"kind":"problem","reason":"no_driver","text":"x"}')"""
    assert await pauses_after(script, monkeypatch) == [1, 2, 4, 8, 16, 32, 60, 60]


ASKS = r"""
noted = int(os.environ["VLLMD_GPU_CALLS"])
left_out = os.pread(noted, 4096, 16).decode()
def asks(row):
    os.pwrite(noted, f"GPU-1\t{row}\n".encode(), 16)
    os.pwrite(noted, f"{0:>15}\n".encode(), 0)
"""


async def test_call_that_crashes_is_named_and_left_out_after_the_second_time() -> None:
    script = ASKS + "if not left_out: asks('ecc'); fast(); os.abort()\nfast(); sys.stdin.read()"
    async with running(script, late_s=60) as scene:
        await scene.until("readings", lambda: scene.reader.figures.starts == 3)
        await scene.until("no problem", lambda: scene.reader.problem is None)
    assert scene.told == [(RowKey("GPU-1", "ecc"), "crashed")]


async def test_call_that_hangs_is_named_and_left_out_after_the_second_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = ASKS + "fast()\nif not left_out: asks('ecc')\nsys.stdin.read()"
    async with running(script, late_s=0.5) as scene:
        await scene.until("it", lambda: bool(scene.told))
    assert scene.told[0] == (RowKey("GPU-1", "ecc"), "hung")
    assert "said nothing for 0.5 s, in ecc of GPU-1" in capsys.readouterr().out


async def test_call_that_hung_is_made_again_later_unless_it_hangs_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_guard, "AGAIN_S", 0.0)
    script = ASKS + "asks('ecc')\nwhile True: fast(); time.sleep(0.01)"
    async with running(script, late_s=60) as scene:
        stuck = [1]
        monkeypatch.setattr(scene.reader, "_stuck", lambda: len(stuck))
        for _ in range(2):
            scene.guard.hung(RowKey("GPU-1", "ecc"), 1.0)
        await scene.until("readings", lambda: len(scene.taken) > 3)
        assert scene.reader.figures.starts == 1, "it may hang for ever again"
        stuck.clear()
        await scene.until("another start", lambda: scene.reader.figures.starts == 2)
        await scene.until("no problem", lambda: scene.reader.problem is None)
    assert scene.told[1:] == [(RowKey("GPU-1", "ecc"), None)]


async def test_source_that_is_killed_or_writes_nonsense_into_its_notes_blames_nobody() -> None:
    script = ASKS + "asks('ecc'); fast(); os.kill(os.getpid(), 9)"
    async with running(script, late_s=60) as scene:
        await scene.until("its ends", lambda: scene.reader.figures.starts >= 4)
    assert (scene.told, scene.guard.careful) == ([], False)
    script = ASKS + "os.pwrite(noted, b'nonsense' * 9, 0); fast(); os.abort()"
    async with running(script, late_s=60) as scene:
        await scene.until("its ends", lambda: scene.reader.figures.starts >= 6)
    assert scene.told == []
