"""GPUs beside a whole vllmd: the real pynvml on a library whose answers and faults are scripted."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.flight import asked_twice
from tests.helpers.nvml import GIB, UUID, FakeNvml, h200
from tests.helpers.ports import free_port
from tests.helpers.prometheus import prometheus
from tests.helpers.reading import reader_pids
from tests.helpers.site import Site, gone, needs, site, wait_for
from tests.integration.conftest import GPU_CONFIG
from vllmd.shim import proc

GPU_2 = "GPU-00000000-0000-0000-0000-000000000002"


class GpuSite:
    """A site with two scripted GPUs; the engine's core holds memory of the first."""

    def __init__(self, made: Site, fake: FakeNvml) -> None:
        self.site = made
        self.fake = fake

    def core(self) -> int:
        return self.site.process("chat", "VLLM::EngineCore").pid

    def use(self, gib: int = 70, *more: tuple[int, int | None]) -> int:
        """Let the engine hold so much, and others; returns the core's process id."""
        core = self.core()
        self.fake.uses((core, gib * GIB), *more)
        wait_for("the listing", lambda: self.owner("engine") == gib * GIB)
        return core

    def gpu(self) -> dict[str, Any]:
        return self.site.control.gpus()

    def owner(self, name: str) -> int:
        gpus = self.gpu()["gpus"]
        owners = gpus[0]["owners"] if gpus else []
        return sum(each["bytes"] for each in owners if each["owner"] == name)

    def metric(self, name: str) -> float | None:
        lines = [line for line in self.site.metrics().splitlines() if line.startswith(f"{name} ")]
        return float(lines[0].split()[-1]) if lines else None

    def problem(self) -> str | None:
        found = self.gpu()["problem"]
        return found["reason"] if found else None


@pytest.fixture
def made(tmp_path: Path) -> Iterator[GpuSite]:
    fake = FakeNvml(
        tmp_path,
        h200() | {"gpu.0.field.230": "1 0"},
        h200(1, GPU_2, pci="00000000:00:07.0"),
    )
    fake.uses()
    fake.uses(index=1)
    exporter, api = free_port(), free_port()
    text = GPU_CONFIG.format(folder=tmp_path, exporter=exporter, api=api)
    with site(tmp_path, text, exporter_port=exporter, api_port=api, **fake.env) as one:
        one.wait_state("chat", "ready")
        found = GpuSite(one, fake)
        wait_for("readings", lambda: found.problem() is None)
        yield found
        fake.uses()  # a stop waits for it


def test_memory_is_told_by_owner_and_adds_up(made: GpuSite) -> None:
    core = made.use(70, (os.getpid(), 3 * GIB), (2**22 + 1, None))
    gpu = made.gpu()["gpus"][0]
    owners = {each["owner"]: each["bytes"] for each in gpu["owners"]}
    assert owners["engine"] == 70 * GIB
    assert owners["foreign"] == 3 * GIB
    assert sum(owners.values()) == gpu["values"]["memory_total_bytes"]
    assert {p["pid"]: p["owner"] for p in gpu["processes"]}[core] == "engine"
    text = made.site.vllmd("gpu").stdout
    assert "chat 70.0 GiB" in text
    assert "chat would start again" in text
    assert "VLLM::EngineCore" in text
    assert "(cannot be seen from here)" in text


def test_page_is_the_same_for_two_real_prometheus_and_promtool_likes_it(
    made: GpuSite, tmp_path: Path
) -> None:
    """Peaks too: what one server reads is not taken from the other."""
    needs("promtool")
    made.use()
    made.fake.change(power=699_000)
    time.sleep(0.5)
    made.fake.change(power=100_000)
    wait_for("calm", lambda: 'vllmd_gpu_power_watts{gpu="0"' in made.site.metrics())
    target = made.site.exporter.removeprefix("http://")
    peaks = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with prometheus(tmp_path / name, target) as stored:
            stored.wait_scrapes()
            peaks.append(stored.value(f'vllmd_gpu_power_max_watts{{uuid="{UUID}"}}'))
    assert peaks == [699.0, 699.0]
    own = "\n".join(line for line in made.site.metrics().splitlines() if "vllm:" not in line)
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=f"{own}\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_reader_that_hangs_touches_nothing_else_and_is_replaced(made: GpuSite) -> None:
    made.use()
    before = made.site.engine("chat")
    reader = reader_pid(made)
    made.fake.change_keys({"hang.nvmlDeviceGetPowerUsage": 1})
    wait_for("stale", lambda: "vllmd_gpu_power_watts{" not in made.site.metrics(), 20)
    hung = 'vllmd_nvml_problem{reason="hung"} 1.0'
    wait_for("hung", lambda: hung in made.site.metrics() and made.metric("vllmd_nvml_up") == 0)
    assert made.site.chat("tiny")
    wait_for("its word", lambda: "no readings (hung)" in made.site.vllmd("gpu").stdout)
    made.fake.change_keys({"hang.nvmlDeviceGetPowerUsage": None})
    wait_for("readings again", lambda: made.metric("vllmd_nvml_up") == 1, 30)
    wait_for("the end of the first", lambda: proc.read_stat(reader) is None)
    after = made.site.engine("chat")
    assert (after["run_id"], after["restarts"]) == (before["run_id"], before["restarts"])


def reader_pid(made: GpuSite) -> int:
    return reader_pids(made.site.daemon.pid)[0]


def test_reader_that_is_killed_is_started_again(made: GpuSite) -> None:
    first = reader_pid(made)
    os.kill(first, signal.SIGKILL)
    wait_for("another", lambda: proc.read_stat(first) is None)
    wait_for("readings again", lambda: made.problem() is None)
    assert "gpu.reader_failed" in made.site.log()
    assert "gpu.reader_recovered" in made.site.log()


def test_reader_ends_with_a_daemon_that_was_killed(made: GpuSite) -> None:
    readers = reader_pids(made.site.daemon.pid)
    assert len(readers) == 2
    made.site.kill_daemon()
    wait_for("their end", lambda: not any(map(proc.read_stat, readers)))


def test_orphan_is_named_reaped_and_its_engine_is_not_touched(made: GpuSite) -> None:
    """The shim is killed while its core is stopped: under a service manager both would go."""
    core = made.use()
    child = subprocess.Popen(["sleep", "60"])
    notes = made.site.folder / "state" / "gpus.json"
    wait_for("the notes", notes.exists)
    stat = proc.read_stat(child.pid)
    assert stat is not None
    made.site.stop(signal.SIGINT)
    record = json.loads(notes.read_text())
    record["processes"].append([child.pid, stat.start_ticks, "chat"])
    notes.write_text(json.dumps(record))
    made.site.start()
    made.site.wait_state("chat", "ready")
    core = made.use(20, (child.pid, 60 * GIB))
    assert made.owner("orphan") == 60 * GIB
    gpu = made.gpu()["gpus"][0]
    assert gpu["restart_margin_bytes"]["chat"] > 0
    made.use(20, (child.pid, 75 * GIB))
    assert made.gpu()["gpus"][0]["restart_margin_bytes"]["chat"] < 0
    assert "would NOT start again" in made.site.vllmd("gpu").stdout
    result = made.site.vllmd("gpu", "reap", "--yes")
    assert f"(pid {child.pid})" in result.stdout
    assert child.wait(5) == -signal.SIGKILL
    assert made.core() == core
    assert made.site.chat("tiny")


def test_stop_waits_until_the_memory_is_back_and_names_who_has_it(made: GpuSite) -> None:
    made.use()
    core = made.site.process("chat", "VLLM::EngineCore")
    stopping = threading.Thread(target=made.site.vllmd, args=("stop", "chat"))
    stopping.start()
    wait_for("the end of the core", lambda: gone(core))
    time.sleep(1.5)
    assert "engine.end_proven" not in made.site.log(), "the library still lists it"
    made.fake.uses()
    stopping.join()
    assert "in_the_way=[]" in made.site.log().rsplit("engine.end_proven", 1)[1]
    made.site.vllmd("start", "chat", "--wait")
    core_pid = made.use()
    made.site.vllmd("stop", "chat")
    assert f"a process of chat that has ended (pid {core_pid})" in made.site.log()


def test_xid_is_the_cause_of_an_end(made: GpuSite) -> None:
    core = made.use()
    made.fake.change_keys({"event": "1 0 79", "gpu.0.field.230": "1 2"})
    wait_for("the Xid", lambda: made.gpu()["gpus"][0]["xids"])
    os.kill(core, signal.SIGKILL)
    made.fake.uses()
    end = wait_for("its end", lambda: made.site.engine("chat")["last_exit"])
    assert end["diagnosis"]["cause"] == "gpu_fault"
    assert "GPU has fallen off the bus" in end["diagnosis"]["evidence"][0]
    assert "Xid 79" in made.site.vllmd("why", "chat").stdout
    assert "the driver asks to reboot the host" in made.site.vllmd("gpu").stdout
    file = Path(end["incident"]) / "gpu.json"
    wait_for("readings in the incident", file.exists)
    assert json.loads(file.read_text())[0]["values"][UUID]["power_watts"] > 0


def test_driver_upgrade_keeps_an_engine_serving_and_holds_the_next_start(
    made: GpuSite, tmp_path: Path
) -> None:
    """The library on the disk is another than the kernel's: no restart, until they fit again."""
    made.use()
    made.fake.change_keys({"init": 18})
    os.kill(reader_pid(made), signal.SIGKILL)
    wait_for("mismatch", lambda: made.metric("vllmd_nvml_driver_mismatch") == 1)
    before = made.site.engine("chat")
    refused = made.site.vllmd("restart", "chat")
    assert refused.returncode == 65
    assert "would not start again" in refused.stderr
    assert made.site.chat("tiny")
    assert made.site.engine("chat")["run_id"] == before["run_id"]
    os.kill(made.core(), signal.SIGKILL)
    held = made.site.wait_state("chat", "held")
    assert held["hold"]["cause"] == "driver_mismatch"
    assert "reboot" in held["hold"]["reason"]
    made.fake.change_keys({"init": 0})
    made.fake.uses()
    wait_for("a fit", lambda: made.metric("vllmd_nvml_driver_mismatch") == 0, 90)
    made.site.wait_state("chat", "ready", 60)


def test_gpu_that_is_lost_is_down_and_the_other_is_read_on(made: GpuSite) -> None:
    made.fake.change(lost=1)
    where = f'gpu="0",uuid="{UUID}"'
    wait_for("lost", lambda: f"vllmd_gpu_up{{{where}}} 0.0" in made.site.metrics())
    page = made.site.metrics()
    assert f"vllmd_gpu_power_watts{{{where}}}" not in page
    assert f'vllmd_gpu_power_watts{{gpu="1",uuid="{GPU_2}"}}' in page
    made.fake.change(lost=None)
    wait_for("found", lambda: f"vllmd_gpu_up{{{where}}} 1.0" in made.site.metrics())
    assert "gpu.found" in made.site.log()


def test_gpu_that_is_gone_after_a_restart_of_the_reader_keeps_its_number(made: GpuSite) -> None:
    first = {k: v for k, v in made.fake.script.items() if k.startswith("gpu.0.")}
    second = {k: v for k, v in made.fake.script.items() if k.startswith("gpu.1.")}
    made.fake.change_keys(
        {
            **dict.fromkeys([*first, *second]),
            **{k.replace("gpu.1.", "gpu.0."): v for k, v in second.items()},
        }
    )
    os.kill(reader_pid(made), signal.SIGKILL)
    wait_for("missing", lambda: f'vllmd_gpu_up{{gpu="0",uuid="{UUID}"}} 0.0' in made.site.metrics())
    other = f'vllmd_gpu_up{{gpu="1",uuid="{GPU_2}"}} 1.0'
    wait_for("the other", lambda: other in made.site.metrics())


def test_row_that_ends_its_reader_is_named_and_costs_nothing_else(made: GpuSite) -> None:
    made.fake.change_keys({"gpu.1.fault.power_limit": "abort"})
    labels = f'gpu="1",reason="crashed",row="power_limit_watts",uuid="{GPU_2}"'
    disabled = f"vllmd_nvml_row_disabled{{{labels}}} 1.0"
    wait_for("its name", lambda: disabled in made.site.metrics(), 60)
    assert "gpu.row_disabled" in made.site.log()
    assert "power_limit_watts of GPU 1" in made.site.vllmd("gpu").stdout
    first = f'vllmd_gpu_power_limit_watts{{gpu="0",uuid="{UUID}"}}'
    wait_for("the other GPU", lambda: first in made.site.metrics())
    assert made.metric("vllmd_nvml_up") == 1


def test_gpu_without_memory_of_its_own_is_owned_and_advised_as_the_host(made: GpuSite) -> None:
    """As a GB10 answers; the GPU beside it is read as ever."""
    core = made.core()
    made.fake.change_keys({"gpu.0.memory": "!3", "gpu.0.processes": f"{core}:{GIB}"})
    for reader in reader_pids(made.site.daemon.pid):
        os.kill(reader, signal.SIGKILL)
    wait_for("the host's memory", lambda: made.owner("engine") == GIB)
    first, second = made.gpu()["gpus"]
    assert first["unified"]
    assert not second["unified"]
    owners = sum(each["bytes"] for each in first["owners"])
    assert owners == first["values"]["memory_total_bytes"] == os.sysconf("SC_PHYS_PAGES") * 4096
    assert second["values"]["memory_total_bytes"] > 100 * GIB
    assert "shares the host's memory" in made.site.vllmd("gpu").stdout
    assert f'vllmd_gpu_unified_memory{{gpu="0",uuid="{UUID}"}} 1.0' in made.site.metrics()
    made.fake.change_keys({"gpu.0.memory": f"{140 * GIB} 0 {140 * GIB} 0"})


def test_release_lets_go_of_the_library(made: GpuSite) -> None:
    readers = reader_pids(made.site.daemon.pid)
    assert made.site.vllmd("gpu", "release", "--for", "10m").returncode == 0
    wait_for("their end", lambda: not any(map(proc.read_stat, readers)))
    assert made.problem() == "released"
    assert made.site.vllmd("gpu", "release", "--resume").returncode == 0
    wait_for("readings again", lambda: made.problem() is None)


def test_kernel_that_spins_is_told_from_a_long_prefill_by_power_and_memory_bus(
    tmp_path: Path,
) -> None:
    """The core computes for 40 s, with the CPU of a busy wait; only the readings change."""
    fake = FakeNvml(tmp_path, h200(utilization="0 0", power=120_000, reasons=0))
    fake.uses()
    exporter, api = free_port(), free_port()
    text = GPU_CONFIG.format(folder=tmp_path, exporter=exporter, api=api)
    text = text.replace("[gpu]", "poll_s = 0.5\n[gpu]", 1)
    text += "liveness = { stall_s = 600, gpu_stall_s = 1, hang_s = 600 }\n"
    env = {**fake.env, "VLLMD_STAND_IN_PREFILL_S": "40"}
    with site(tmp_path, text, exporter_port=exporter, api_port=api, **env) as one:
        before, made = one.wait_state("chat", "ready"), GpuSite(one, fake)
        made.use()
        time.sleep(2)  # the power of an idle GPU is seen
        with asked_twice(one):
            fake.change(utilization="100 33", power=691_000)
            wait_for("a word", lambda: "no step for" in one.vllmd("status").stdout)
            time.sleep(5)
            assert "state=stalled" not in one.log()
            fake.change(utilization="100 0", power=124_000)
            wait_for("a verdict", lambda: "state=stalled" in one.log())
            fake.uses()
            after = one.wait_new_run("chat", before, 30)
        assert "GPU 0 is busy at 124 W and 0 % of its memory bus" in after["last_exit"]["error"]


def test_start_without_room_waits_says_for_whom_and_is_made_when_there_is_room(
    tmp_path: Path,
) -> None:
    fake = FakeNvml(tmp_path, h200())
    fake.uses((os.getpid(), 100 * GIB))
    exporter, api = free_port(), free_port()
    text = GPU_CONFIG.format(folder=tmp_path, exporter=exporter, api=api)
    program = json.dumps([sys.executable, "-m", "vllmd.demo"])
    text = text.replace('executable = "stand-in"', f"executable = {program}")
    with site(tmp_path, text, exporter_port=exporter, api_port=api, **fake.env) as one:
        waits = "stopped (waits for GPU memory)"
        wait_for("a word", lambda: waits in one.vllmd("status").stdout)
        assert f"(pid {os.getpid()}): 100.0 GiB" in one.vllmd("status").stdout
        why = " ".join(one.vllmd("why", "chat").stdout.split())
        assert f"(pid {os.getpid()}): 100.0 GiB" in why
        assert 'vllmd_engine_awaited_memory_bytes{gpu="0",holder="' in one.metrics()
        assert "engine.spawned" not in one.log()
        fake.uses()
        one.wait_state("chat", "ready")
        assert "engine.room_wait_ended" in one.log()
        assert "vllmd_engine_awaited_memory_bytes{" not in one.metrics()


def test_growth_since_ready_is_seen(made: GpuSite) -> None:
    made.use(70)
    wait_for("a baseline", lambda: made.gpu()["growth_bytes"] != {})
    made.use(73)
    name = 'vllmd_engine_gpu_memory_growth_bytes{vllmd_engine="chat"}'
    wait_for("growth", lambda: made.metric(name) == 3 * GIB)


def test_series_are_bounded_whoever_uses_the_gpu(made: GpuSite) -> None:
    def series() -> set[str]:
        page = made.site.metrics().splitlines()
        return {line.rpartition(" ")[0] for line in page if "_gpu" in line and line[0] != "#"}

    made.use()
    made.fake.uses((made.core(), GIB), (os.getpid(), 5))
    wait_for("it", lambda: made.owner("foreign") == 5)
    few = series()
    made.fake.uses((made.core(), GIB), *((pid, 5) for pid in range(3_000_000, 3_000_400)))
    wait_for("them", lambda: made.owner("foreign") == 2000)
    assert series() == few
