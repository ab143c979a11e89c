"""What alerts of GPUs and of their memory are for, done to a scripted NVIDIA library."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from tests.helpers.nvml import GIB, FakeNvml, h200
from tests.helpers.ports import free_port
from tests.helpers.reading import reader_pids
from tests.helpers.site import Site, site, wait_for
from tests.integration.causes.conftest import BUSY_S, Watch, Watched, about
from tests.integration.conftest import GPU_CONFIG
from vllmd.shim import proc

GPU_2 = "GPU-00000000-0000-0000-0000-000000000002"
OWNED = "vllmd_gpu_memory_by_owner_bytes"


class GpuHost:
    """A host with two scripted GPUs; its engine's core holds 60 GiB of the first."""

    def __init__(self, made: Site, fake: FakeNvml) -> None:
        self.site, self.fake = made, fake
        self._killed_at = 0.0

    @property
    def core(self) -> int:
        return self.site.process("chat", "VLLM::EngineCore").pid

    def use(self, size: int = 60 * GIB, *more: tuple[int, int | None]) -> None:
        self.fake.uses((self.core, size), *more)

    def read_again(self) -> None:
        """Let the readers of GPUs start anew."""
        for reader in reader_pids(self.site.daemon.pid):
            os.kill(reader, signal.SIGKILL)
        self._killed_at = time.time()

    def is_read(self) -> None:
        """Wait until the new readers have read: until then NVML is down on the page."""

        def newly() -> bool:
            read_at = self.site.samples("vllmd_nvml_last_success_timestamp_seconds")
            up = self.site.samples("vllmd_nvml_up")
            return all(at > self._killed_at for at in read_at.values()) and all(up.values())

        wait_for("a reading of the new readers", newly, BUSY_S)

    def forget_xids(self) -> None:
        """Let the daemon know of no Xid, as after a boot."""
        if not self.site.samples("vllmd_gpu_xid_errors_total"):
            return
        self.site.kill_daemon()
        notes = self.site.folder / "state" / "gpus.json"
        notes.write_text(json.dumps(json.loads(notes.read_text()) | {"xids": []}))
        self.fake.change_keys({"event": None})
        self.site.start()
        self.site.wait_state("chat", "ready", BUSY_S)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuHost]:
    folder = tmp_path_factory.mktemp("gpu")
    more = {"gpu.0.field.230": "1 0", "gpu.0.pcie_width_max": 16}
    fake = FakeNvml(folder, h200() | more, h200(1, GPU_2, pci="00000000:00:07.0"))
    fake.uses()
    fake.uses(index=1)
    exporter, api = free_port(), free_port()
    text = GPU_CONFIG.format(folder=folder, exporter=exporter, api=api)
    with site(folder, text, exporter_port=exporter, api_port=api, **fake.env) as made:
        made.wait_state("chat", "ready", BUSY_S)
        yield GpuHost(made, fake)
        fake.uses()  # a stop waits for it


@pytest.fixture
def pages(host: GpuHost, watch: Watch, alert: str) -> Watched:
    """The pages of a well host so far, whatever was done to it before."""
    host.forget_xids()
    host.use()
    made = watch(host.site, alert)
    made.until(f'{OWNED}{{owner="engine",vllmd_engine="chat"}}', 60 * GIB)
    made.until('vllmd_gpu_ecc_errors_total{gpu="0",error="uncorrected"}', 0)
    return made.well()


SCRIPTED = [
    (
        "VllmdGpuRowRemapFailed",
        {"remapped": "0 1 0 1"},
        {"remapped": "0 0 0 0"},
        "vllmd_gpu_row_remap_failed",
        1,
    ),
    (
        "VllmdGpuRowRemapPending",
        {"remapped": "0 1 1 0"},
        {"remapped": "0 0 0 0"},
        "vllmd_gpu_row_remap_pending",
        20,
    ),
    (
        "VllmdGpuRecoveryAction",
        {"field.230": "1 1"},
        {"field.230": "1 0"},
        "vllmd_gpu_recovery_action",
        1,
    ),
    (
        "VllmdGpuPcieDegraded",
        {"pcie_width": 8},
        {"pcie_width": 16},
        'vllmd_gpu_pcie_link_width{gpu="0"}=8',
        40,
    ),
    ("VllmdGpuLost", {"lost": 1}, {"lost": None}, 'vllmd_gpu_up{gpu="0"}=0', 5),
    (
        "VllmdGpuEccUncorrected",
        {"ecc.1.0": 2},
        {"ecc.1.0": 0},
        'vllmd_gpu_ecc_errors_total{error="uncorrected"}',
        20,
    ),
    (
        "VllmdGpuEccNotCleared",
        {"ecc.1.0": 2},
        {"ecc.1.0": 0},
        'vllmd_gpu_ecc_errors_total{error="uncorrected"}',
        90,
    ),
]
"""An alert; what NVML answers, and what it answers when all is well; what the page shows then, and
for how many minutes it stays so."""


@pytest.mark.parametrize(
    ("alert", "change", "well", "sample", "minutes"),
    SCRIPTED,
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_gpu_that_is_not_well(
    host: GpuHost,
    pages: Watched,
    change: dict[str, object],
    well: dict[str, object],
    sample: str,
    minutes: int,
) -> None:
    name, _, value = sample.rpartition("=") if sample[-1].isdigit() else (sample, "", "")
    host.fake.change(**change)
    try:
        pages.until(name, float(value) if value else None).look(minutes).only()
    finally:
        host.fake.change(**well)


@about("VllmdGpuThrottled")
def test_gpu_that_is_held_back_by_heat(host: GpuHost, pages: Watched) -> None:
    """Twelve seconds of a minute, in nanoseconds as NVML counts them."""
    field = f"field.{pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN}"
    host.fake.change(**{field: f"3 {12 * 10**9}"})
    held = 'vllmd_gpu_clock_event_seconds_total{reason="hw_thermal",gpu="0"}'
    pages.until(held, 12).look().go_on(25).only()


@about("VllmdVramForeign")
def test_notebook_on_the_gpu_of_an_engine(host: GpuHost, pages: Watched) -> None:
    host.use(60 * GIB, (os.getpid(), 3 * GIB))
    pages.until(f'{OWNED}{{owner="foreign",gpu="0"}}', 3 * GIB).look(15).only()


@about("VllmdVramRestartWontFit")
def test_engine_that_would_not_fit_again(host: GpuHost, pages: Watched) -> None:
    host.use(60 * GIB, (os.getpid(), 75 * GIB))
    pages.until(f'{OWNED}{{owner="foreign",gpu="0"}}', 75 * GIB).look(15)
    pages.only()


@about("VllmdVramOrphan")
def test_process_of_an_engine_that_is_dead(host: GpuHost, pages: Watched) -> None:
    orphan = subprocess.Popen(["sleep", "300"])
    try:
        remember_as_ours(host, orphan.pid)
        host.use(60 * GIB, (orphan.pid, 30 * GIB))
        pages.until(f'{OWNED}{{owner="orphan",gpu="0"}}', 30 * GIB).look(5).only()
    finally:
        host.use()
        orphan.kill()
        orphan.wait()


def remember_as_ours(host: GpuHost, pid: int) -> None:
    """Let the daemon believe that a process was an engine's, as after its shim was killed."""
    notes = host.site.folder / "state" / "gpus.json"
    wait_for("the notes", notes.exists)
    stat = proc.read_stat(pid)
    assert stat is not None
    host.fake.uses()
    host.site.stop(signal.SIGINT)
    record = json.loads(notes.read_text())
    record["processes"].append([pid, stat.start_ticks, "chat"])
    notes.write_text(json.dumps(record))
    host.site.start()
    host.site.wait_state("chat", "ready", BUSY_S)


@about("VllmdVramLeak")
def test_engine_that_takes_more_and_more(host: GpuHost, pages: Watched) -> None:
    """Two GiB an hour."""
    grow(host, pages, by=GIB // 2)
    pages.only()


@about("VllmdVramExhaustion")
def test_engine_that_takes_what_is_left(host: GpuHost, pages: Watched) -> None:
    """Of a GPU of 70 GiB."""
    before = host.fake.script["gpu.0.memory"]
    host.fake.change(memory=f"{70 * GIB} 0 {70 * GIB} 0")
    try:
        grow(host, pages, GIB // 2)
        pages.only()
    finally:
        host.fake.change(memory=before)


def grow(host: GpuHost, pages: Watched, by: int, *more: tuple[int, int | None]) -> None:
    """Let the engine hold more every quarter of an hour, for three hours."""
    for n in range(1, 13):
        size = 60 * GIB + n * by
        host.use(size, *more)
        pages.until(f'{OWNED}{{owner="engine",vllmd_engine="chat"}}', size).look(15)


@about("VllmdDriverMismatch")
def test_driver_that_is_upgraded_underneath(host: GpuHost, pages: Watched) -> None:
    host.fake.change_keys({"init": 18})
    host.read_again()
    try:
        pages.until("vllmd_nvml_driver_mismatch", 1).look(10).only()
    finally:
        host.fake.change_keys({"init": 0})
        host.read_again()
        pages.until("vllmd_nvml_driver_mismatch", 0)


@about("VllmdGpuReaderDown")
def test_library_that_does_not_answer(host: GpuHost, pages: Watched) -> None:
    """No GPU is told as lost, as all that were there are."""
    host.fake.change_keys({"init": 999})
    host.read_again()
    try:
        pages.until('vllmd_nvml_problem{reason="nvml_error"}', 1).look(10)
        assert not pages.only()
    finally:
        host.fake.change_keys({"init": 0})
        host.read_again()
        pages.until("vllmd_nvml_up", 1)


@about("VllmdGpuLost")
def test_gpu_that_comes_and_goes(host: GpuHost, pages: Watched) -> None:
    """It answers in the end; each time it says since when it did not."""
    since: list[float] = []
    try:
        for _ in range(3):
            host.fake.change(lost=1)
            pages.until('vllmd_gpu_up{gpu="0"}', 0).look(2)
            since.append(pages.value('vllmd_gpu_lost_timestamp_seconds{gpu="0"}'))
            host.fake.change(lost=None)
            pages.until('vllmd_gpu_up{gpu="0"}', 1).look(2)
    finally:
        host.fake.change(lost=None)
    assert since == sorted(set(since))
    assert pages.value("vllmd_gpu_lost_timestamp_seconds") == 0, "no series of one that answers"
    assert not pages.only()


@about("VllmdGpuReaderDown")
def test_library_that_comes_and_goes(host: GpuHost, pages: Watched) -> None:
    for _ in range(3):
        host.fake.change_keys({"init": 999})
        host.read_again()
        try:
            pages.until("vllmd_nvml_up", 0).look(2)
        finally:
            host.fake.change_keys({"init": 0})
            host.read_again()
        host.is_read()
        pages.look(2)
    pages.look(5)
    assert not pages.only()


def test_gpus_that_a_person_lets_go_of_are_no_alert(host: GpuHost, watch: Watch) -> None:
    host.forget_xids()
    host.use()
    pages = watch(host.site, "nothing").until('vllmd_gpu_up{gpu="0"}', 1).look(20)
    assert host.site.vllmd("gpu", "release", "--for", "10m").returncode == 0
    try:
        pages.until('vllmd_nvml_problem{reason="released"}', 1).look(30)
    finally:
        assert host.site.vllmd("gpu", "release", "--resume").returncode == 0
    pages.until('vllmd_gpu_up{gpu="0"}', 1).look(20).nothing()


@about("VllmdGpuXidRestart")
def test_xid_that_ends_a_process(host: GpuHost, pages: Watched) -> None:
    host.fake.change_keys({"event": "1 0 31"})
    pages.until('vllmd_gpu_xid_last_timestamp_seconds{xid="31"}', None).look(3).only()


@about("VllmdGpuXidFatal")
def test_xid_that_asks_for_a_reboot(host: GpuHost, pages: Watched) -> None:
    host.fake.change_keys({"event": "2 0 79"})
    name = 'vllmd_gpu_xid_last_timestamp_seconds{xid="79"}'
    pages.until(name, None).look(3).only()


@about("VllmdGpuXidNotCleared")
def test_xid_after_which_nobody_reboots(host: GpuHost, pages: Watched) -> None:
    """The driver is too old to say what is still to be done."""
    host.fake.change(**{"field.230": None})
    host.read_again()
    host.is_read()
    host.fake.change_keys({"event": "3 1 79"})
    name = 'vllmd_gpu_xid_last_timestamp_seconds{xid="79",gpu="1"}'
    try:
        pages.until(name, None).look(40).only()
    finally:
        host.fake.change(**{"field.230": "1 0"})
        host.read_again()
        pages.until('vllmd_gpu_up{gpu="1"}', 1)


@about("VllmdGpuMissing")
def test_gpu_that_is_not_listed_after_a_reboot(host: GpuHost, pages: Watched) -> None:
    gone = {key: v for key, v in host.fake.script.items() if key.startswith("gpu.1.")}
    host.fake.uses()
    host.site.stop()
    host.fake.change_keys(dict.fromkeys(gone))
    (host.site.folder / "state" / "gpus.json").unlink()
    host.site.start()
    host.site.wait_state("chat", "ready", BUSY_S)
    host.use()
    try:
        pages.until('vllmd_gpu_up{gpu="0"}', 1).look(25).only()
    finally:
        host.fake.change_keys(gone)
        host.read_again()
        pages.until('vllmd_gpu_up{gpu="1"}', 1)


@about("VllmdEngineAwaitsMemory")
def test_engine_that_finds_no_room(alert: str, watch: Watch, tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    fake.uses((os.getpid(), 100 * GIB))
    exporter, api = free_port(), free_port()
    text = GPU_CONFIG.format(folder=tmp_path, exporter=exporter, api=api)
    program = json.dumps([sys.executable, "-m", "vllmd.demo"])
    text = text.replace('executable = "stand-in"', f"executable = {program}")
    with site(tmp_path, text, exporter_port=exporter, api_port=api, **fake.env) as made:
        pages = watch(made, alert)
        pages.until("vllmd_engine_awaited_memory_bytes", None).look(20)
        assert pages.only() == ["VllmdVramForeign"]
