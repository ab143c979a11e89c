import asyncio
import signal

from vllmd.util.child_process import end


async def started(*command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


async def test_end_kills_and_reaps() -> None:
    process = await started("/bin/sleep", "60")
    await end(process)
    assert process.returncode == -signal.SIGKILL


async def test_end_of_one_that_has_ended_keeps_its_exit_code() -> None:
    process = await started("/bin/sh", "-c", "exit 3")
    await process.wait()
    await end(process)
    assert process.returncode == 3


class Stuck:
    """A process that waits for a disk: no signal ends it."""

    returncode = None
    killed = 0

    def kill(self) -> None:
        self.killed += 1

    async def wait(self) -> int:
        await asyncio.Event().wait()
        return 0


async def test_end_waits_for_none_that_does_not_die() -> None:
    stuck = Stuck()
    await end(stuck, within_s=0.0)  # type: ignore[arg-type]
    assert stuck.killed == 1
