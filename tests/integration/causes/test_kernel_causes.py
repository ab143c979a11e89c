"""What alerts are for that come from below: the kernel's answers, a file server, limits.

The daemon has mounts of its own: what it finds in /proc, and below its folders, is a test's.
"""

import os
import re
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.nvml import GIB, FakeNvml
from tests.helpers.ports import free_port
from tests.helpers.site import Site, running, skip_or_fail, wait_for
from tests.integration.causes.conftest import BUSY_S, Watch, Watched, about
from tests.integration.conftest import GPU_CONFIG

TOTAL = 128 * GIB
FREE = "vllmd_gpu_memory_free_bytes"
FLOOR = "vllmd_gpu_memory_floor_bytes"
WITH_ITS_MEMINFO = 'mount --bind "$0" /proc/meminfo && exec "$@"'


def say_free(folder: Path, size: int) -> None:
    """Let the kernel say how much of the host's memory programs can still get, in bytes."""
    text = f"MemTotal: {TOTAL >> 10} kB\nMemFree: {size >> 10} kB\nMemAvailable: {size >> 10} kB\n"
    (folder / "meminfo").write_text(text)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host of 128 GiB whose GPU has no memory of its own; its engine holds 100."""
    if os.geteuid() != 0:
        skip_or_fail("mounts of its own are given to a process by root only")
    folder = tmp_path_factory.mktemp("kernel")
    fake = FakeNvml(folder)
    fake.change_keys({"gpu.0.memory": "!3", "gpu.0.processes": ""})
    say_free(folder, 60 * GIB)
    exporter, api = free_port(), free_port()
    text = GPU_CONFIG.format(folder=folder, exporter=exporter, api=api)
    made = Site(folder, text, exporter_port=exporter, api_port=api)
    made.env = fake.env
    unshared = ("unshare", "--mount", "--propagation", "private")
    made.under = (*unshared, "sh", "-c", WITH_ITS_MEMINFO, str(folder / "meminfo"))
    with running(made):
        made.wait_state("chat", "ready", BUSY_S)
        core = made.process("chat", "VLLM::EngineCore").pid
        fake.change_keys({"gpu.0.processes": f"{core}:{100 * GIB}"})
        yield made
        fake.change_keys({"gpu.0.processes": ""})  # a stop waits for it


@pytest.fixture
def pages(host: Site, watch: Watch, alert: str) -> Watched:
    say_free(host.folder, 20 * GIB)
    made = watch(host, alert).until(FREE, 20 * GIB)
    return made.until('vllmd_gpu_memory_by_owner_bytes{owner="engine"}', 100 * GIB).well()


def within(host: Site, *command: str, given: int | None = None) -> None:
    """Run a command with the daemon's mounts, and an open file."""
    entering = ["nsenter", "-t", str(host.daemon.pid), "-m", *command]
    subprocess.run(entering, check=True, pass_fds=() if given is None else (given,))


@about("VllmdHostMemoryLow")
def test_host_whose_memory_is_nearly_gone(host: Site, pages: Watched) -> None:
    """More than where vllmd drains its engine."""
    floor = pages.value(FLOOR)
    say_free(host.folder, int(1.3 * floor))
    try:
        pages.until_below(FREE, 1.4 * floor).look(3)
        assert pages.value(FREE) > floor
        assert not pages.only()
    finally:
        say_free(host.folder, 20 * GIB)


@contextmanager
def hung(host: Site, folder: Path) -> Iterator[None]:
    """Let a file system be in the place of a folder whose server never answers (FUSE)."""
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
    within(host, "mount", "-i", "-t", "fuse", "-o", options, "hung", str(folder), given=server)
    try:
        yield
    finally:
        os.close(server)
        within(host, "umount", "-l", str(folder))


@about("VllmdDiskStalled")
def test_file_server_that_does_not_answer(host: Site, pages: Watched) -> None:
    silent = 'vllmd_filesystem_silent_seconds{role="logs"}'
    if not Path("/dev/fuse").exists():
        skip_or_fail("the kernel has no FUSE")
    with hung(host, host.folder / "log"):
        pages.until_above(silent, 0).look(3)
        assert not pages.only()
    pages.until(silent, 0)


@about("VllmdCollectorFailed")
def test_kernel_that_says_a_limit_in_a_word(host: Site, pages: Watched) -> None:
    """Where a number was expected: of the files that the daemon may open."""
    limits = Path(f"/proc/{host.daemon.pid}/limits")
    said = re.sub(r"(Max open files +)\d+", r"\1unlimited", limits.read_text())
    assert "unlimited" in said
    (host.folder / "limits").write_text(said)
    within(host, "mount", "--bind", str(host.folder / "limits"), str(limits))
    try:
        pages.until('vllmd_collector_success{collector="process"}', 0).look(15)
        assert not pages.only()
    finally:
        within(host, "umount", str(limits))


@about("VllmdPartFailed")
def test_daemon_that_may_open_no_further_file(host: Site, pages: Watched) -> None:
    """What it has open goes on; then it may again."""
    pid = host.daemon.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    failed = re.compile(r"event=part\.failed part=(\S+)")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        wait_for(
            "a part that keeps failing",
            lambda: max(Counter(failed.findall(host.log())).values(), default=0) >= 3,
            60,
        )
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    pages.until_above("vllmd_part_failures_total", 2).look(3)
    assert not pages.only()
