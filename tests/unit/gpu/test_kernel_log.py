import asyncio
import os
from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from vllmd.gpu.kernel_log import KernelLog
from vllmd.xids import KernelXid

XID = "NVRM: Xid (PCI:0000:00:06): 79, GPU has fallen off the bus."


async def taken(log: KernelLog, found: list[KernelXid], write: bytes = b"", fd: int = -1) -> None:
    task = asyncio.create_task(log.run())
    for _ in range(300):
        await asyncio.sleep(0.01)
        if log.readable and write:
            os.write(fd, write)
            write = b""
        if found:
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_device_is_followed(tmp_path: Path) -> None:
    """A named pipe plays /dev/kmsg: a record a line, `priority,number,time,flags;text`."""
    device = tmp_path / "kmsg"
    os.mkfifo(device)
    fd = os.open(device, os.O_RDWR)
    found: list[KernelXid] = []
    log = KernelLog(found.append, FakeClock(), str(device))
    records = f"3,1,2,-;usb 1-1: new\n3,2,3,-;{XID}\n SUBSYSTEM=pci\n".encode()
    await taken(log, found, records.partition(b"\n")[2], fd)
    os.close(fd)
    assert found == [KernelXid((0, 0, 6), 79, "GPU has fallen off the bus.")]


async def test_journal_is_followed_where_the_device_may_not_be(tmp_path: Path) -> None:
    found: list[KernelXid] = []
    command = ("sh", "-c", f"echo 'something else'; echo '{XID}'; sleep 60")
    log = KernelLog(found.append, FakeClock(), str(tmp_path / "missing"), command)
    await taken(log, found)
    assert [each.code for each in found] == [79]


@pytest.mark.parametrize("command", [("false",), ("/nonexistent/journalctl",)])
async def test_log_that_cannot_be_read_is_tried_again(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    clock = FakeClock()
    log = KernelLog(lambda _: None, clock, str(tmp_path / "missing"), command)
    task = asyncio.create_task(log.run())
    for _ in range(300):
        await asyncio.sleep(0.01)
        if clock.slept:
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert log.readable is False
    assert clock.slept == [60.0]


async def test_file_in_place_of_the_device_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "kmsg").write_text("")
    clock = FakeClock()
    log = KernelLog(lambda _: None, clock, str(tmp_path / "kmsg"))
    task = asyncio.create_task(log.run())
    for _ in range(50):
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert log.readable is False
