import os
import time
from pathlib import Path

import pytest

from vllmd.engine.incidents import kernel_log
from vllmd.engine.incidents.kernel_log import kernel_lines

RECORDS = (
    "4,1,{early},-;NVRM: Xid (PCI:0000:01:00): 13, long ago",
    "4,2,{now},-;NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.\n SUBSYSTEM=pci",
    "6,3,{now},-;eth0: link is up",
    "3,4,{now},-;Out of memory: Killed process 42 (VLLM::EngineCor)",
)


def device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand for /dev/kmsg: each read is one record."""
    path = folder / "kmsg"
    path.touch()
    now_us = int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6)
    made = [r.format(early=now_us - 3_600_000_000, now=now_us).encode() for r in RECORDS]
    answers: list[bytes | OSError] = [made[0], BrokenPipeError(), *made[1:], BlockingIOError()]

    def read(_descriptor: int, _size: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(os, "read", read)
    return str(path)


def test_kernel_lines_are_those_about_gpus_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = kernel_lines(time.time() - 60, device(tmp_path, monkeypatch)).splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("Z NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.")
    assert "Out of memory: Killed process 42" in lines[1]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo '2026 host kernel: NVRM: Xid 31'; echo '2026 host kernel: usb'", "NVRM: Xid 31"),
        ("true", "the kernel said nothing of GPUs"),
        ("echo 'No journal' >&2; exit 1", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_kernel_lines_come_from_the_journal_where_the_device_is_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, expected: str
) -> None:
    if script is not None:
        tool = tmp_path / "journalctl"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    found = kernel_lines(0.0, str(tmp_path / "none"))
    assert expected in found
    assert "usb" not in found


def test_kernel_lines_of_this_host_never_raise() -> None:
    assert kernel_lines(time.time() - 60).endswith("\n")
    assert kernel_log.MAX_LINES > 0
