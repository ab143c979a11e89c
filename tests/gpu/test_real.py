"""The reader, and a whole vllmd, on a real GPU; each value beside what nvidia-smi says of it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.conftest import REPORT
from tests.helpers.ports import free_port
from tests.helpers.reading import Reading, reading
from tests.helpers.site import DAEMON, Site, gone, running, wait_for
from tests.helpers.used import used_names
from vllmd.gpu.fit import CONTEXT_BYTES, margin_bytes
from vllmd.gpu.latest import Periods

CORE = Path(__file__).with_name("core.py")
ENGINE = Path(__file__).with_name("engine.py")
PYTHONPATH = os.pathsep.join(
    [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
)
"""Where the stand-in of an engine finds its packages, as these tests do."""
GIB = 1024**3
MIB = 1024**2

SMI: dict[str, tuple[str, Any, float]] = {
    "memory.total": ("memory_total_bytes", MIB, MIB),
    "memory.reserved": ("memory_reserved_bytes", MIB, MIB),
    "memory.used": ("memory_used_bytes", MIB, 64 * MIB),
    "memory.free": ("memory_free_bytes", MIB, 64 * MIB),
    "power.draw": ("power_watts", 1, 60),
    "enforced.power.limit": ("power_limit_watts", 1, 0.01),
    "temperature.gpu": ("temperature_celsius:gpu", 1, 4),
    "temperature.memory": ("temperature_celsius:memory", 1, 4),
    "clocks.current.sm": ("clock_hertz:sm", 1e6, 200e6),
    "clocks.current.memory": ("clock_hertz:memory", 1e6, 1e6),
    "clocks.max.sm": ("clock_max_hertz:sm", 1e6, 0),
    "pcie.link.gen.current": ("pcie_link_generation", 1, 0),
    "pcie.link.gen.max": ("pcie_link_generation_max", 1, 0),
    "pcie.link.width.current": ("pcie_link_width", 1, 0),
    "pcie.link.width.max": ("pcie_link_width_max", 1, 0),
    "ecc.errors.corrected.volatile.total": ("ecc_errors_total:corrected", 1, 0),
    "ecc.errors.uncorrected.volatile.total": ("ecc_errors_total:uncorrected", 1, 0),
    "remapped_rows.correctable": ("remapped_rows:corrected", 1, 0),
    "remapped_rows.uncorrectable": ("remapped_rows:uncorrected", 1, 0),
    "remapped_rows.pending": ("row_remap_pending", {"No": 0, "Yes": 1}, 0),
    "remapped_rows.failure": ("row_remap_failed", {"No": 0, "Yes": 1}, 0),
}
"""By nvidia-smi's name: our key, the factor to our unit, and how far two readings may differ."""


def smi(*names: str) -> list[str]:
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [each.strip() for each in done.stdout.splitlines()[0].split(",")]


@contextlib.contextmanager
def core(share: float, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a process that takes a share of the GPU; yields what it said first."""
    process = subprocess.Popen(
        [sys.executable, str(CORE), str(share), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait()


def values(reader: Reading) -> dict[str, float]:
    """Return all figures of the first GPU, read now."""
    reader.drop()
    found: dict[str, float] = {}
    for kind in ("fast", "slow"):
        message = reader.next(kind)
        found |= next(iter(message["values"].values()))
    return found


def test_every_value_is_what_nvidia_smi_says() -> None:
    with reading({}, Periods(0.5, 1, 1)) as reader:
        (device, *_) = reader.next("devices")["devices"]
        once = next(iter(reader.next("once")["values"].values()))
        found = once | values(reader)
        said = dict(zip(SMI, smi(*SMI), strict=True))
        uuid, name, bus, driver = smi("uuid", "name", "pci.bus_id", "driver_version")
        hello_driver = driver
    assert (device["uuid"], device["name"], device["pci_bus_id"]) == (uuid, name, bus)
    assert hello_driver
    wrong = {}
    for theirs, (key, factor, tolerance) in SMI.items():
        text = said[theirs]
        if text.startswith("[N/A]") or text == "N/A":
            assert key not in found, key
            continue
        value = factor[text] if isinstance(factor, dict) else float(text) * factor
        if abs(found[key] - value) > tolerance:
            wrong[key] = (found[key], value)
    assert wrong == {}
    REPORT.append(f"{len(SMI)} values equal nvidia-smi's within what two readings differ")
    absent = [k for k in ("recovery_action", "nvlink_transmit_bytes_total") if k not in found]
    REPORT.append(f"{len(found)} figures read; not supported here: {absent}")


def test_memory_power_and_use_follow_a_process_that_computes() -> None:
    with reading({}, Periods(0.2, 0.5, 1)) as reader:
        idle = values(reader)
        with core(0.2, "compute") as (process, said):
            assert said.startswith("READY"), said
            free, total, _ = map(int, said.split()[1:])
            time.sleep(4)
            busy = values(reader)
            listed = next(iter(reader.next("processes")["devices"].values()))
        after = wait_for("memory back", lambda: _returned(reader, idle))
    assert busy["busy_ratio"] > 0.9
    assert busy["power_watts"] > idle["power_watts"] + 50
    assert total == idle["memory_total_bytes"] - idle["memory_reserved_bytes"], "CUDA's total"
    context = idle["memory_free_bytes"] - free
    assert 0 < context <= CONTEXT_BYTES
    held = dict(listed["processes"])[process.pid]
    memory = listed["memory"]
    assert memory["total"] == memory["free"] + memory["used"] + memory["reserved"]
    assert abs(held - (memory["used"] - idle["memory_used_bytes"])) < 64 * MIB
    assert after
    REPORT.append(
        f"a context takes {context / MIB:.0f} MiB; CUDA's total is NVML's without the reserved "
        f"part; busy {busy['busy_ratio']:.0%}, {busy['power_watts']:.0f} W; the process's figure "
        f"and the GPU's differ by {(memory['used'] - held) / MIB:.0f} MiB"
    )


def _returned(reader: Reading, idle: dict[str, float]) -> bool:
    return values(reader)["memory_used_bytes"] <= idle["memory_used_bytes"] + MIB


@pytest.mark.parametrize("spare_mib", [-600, -150, 150, 600])
def test_margin_says_beforehand_whether_a_start_fits(spare_mib: int) -> None:
    """Another process leaves so much room, or so much too little, for a share of 0.5."""
    share = 0.5
    with reading({}, Periods(0.2, 0.5, 1)) as reader:
        total = values(reader)["memory_total_bytes"] - values(reader)["memory_reserved_bytes"]
        foreign = 1 - share - (CONTEXT_BYTES + spare_mib * MIB) / total
        with core(foreign) as (_, first):
            assert first.startswith("READY"), first
            now = values(reader)
            margin = margin_bytes(
                total=now["memory_total_bytes"],
                reserved=now["memory_reserved_bytes"],
                free=now["memory_free_bytes"],
                own=0,
                share=share,
            )
            with core(share) as (_, said):
                started = said.startswith("READY")
    REPORT.append(f"margin {margin / MIB:+.0f} MiB: started {started}: {said.strip()[:110]}")
    if abs(margin) > 150 * MIB or started:
        assert started is (margin > 0) or (started and margin > -150 * MIB)


CONFIG = (
    DAEMON
    + """
[gpu]
every_s = 0.5

[engines.chat]
model = "m"
served_model_name = "tiny"
executable = ["{python}", "{engine}"]
port = {api}
gpu_memory_utilization = 0.4
unready_s = 0
env = {{ {env}PYTHONPATH = "{path}" }}
"""
)


def host(folder: Path, env: str = "") -> Site:
    """Return a host with one engine that holds a share of the GPU; it is not run yet."""
    exporter, api = free_port(), free_port()
    text = CONFIG.format(
        folder=folder,
        exporter=exporter,
        api=api,
        python=sys.executable,
        engine=ENGINE,
        path=PYTHONPATH,
        env=env,
    )
    return Site(folder, text, exporter_port=exporter, api_port=api)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    one = host(tmp_path)
    with running(one):
        one.wait_state("chat", "ready", 120)
        yield one


def owners(made: Site) -> dict[str, int]:
    gpu = made.control.gpus()["gpus"][0]
    found: dict[str, int] = {}
    for each in gpu["owners"]:
        found[each["owner"]] = found.get(each["owner"], 0) + each["bytes"]
    assert sum(found.values()) == gpu["values"]["memory_total_bytes"]
    return found


def test_owners_margin_and_proof_on_a_real_gpu(made: Site) -> None:
    total = made.control.gpus()["gpus"][0]["values"]["memory_total_bytes"]
    engine = wait_for("the engine's memory", lambda: owners(made).get("engine", 0))
    assert 0.38 * total < engine < 0.42 * total
    with core(0.3) as (_, said):
        assert said.startswith("READY"), said
        wait_for("the foreign process", lambda: owners(made)["foreign"] > 0.25 * total)
        text = made.vllmd("gpu").stdout
        assert "chat would start again" in text
        REPORT.append("vllmd gpu:\n" + text)
        with core(0.296, "anyway") as (_, more):
            assert more.startswith("READY"), more
            wait_for("too little", lambda: "would NOT" in made.vllmd("gpu").stdout)
        wait_for("foreign gone", lambda: owners(made)["foreign"] < 0.35 * total)
    old = list(made.tree("chat").values())
    began = time.monotonic()
    assert made.vllmd("stop", "chat").returncode == 0
    stopped_s = time.monotonic() - began
    assert gone(*old)
    assert owners(made).get("engine", 0) == 0
    line = made.log().rsplit("engine.end_proven", 1)[1].splitlines()[0]
    assert "in_the_way=[]" in line
    REPORT.append(f"stop: {stopped_s:.1f} s to the proof that the memory is back;{line}")


def test_kill_of_the_shim_gives_the_memory_back_and_starts_anew(made: Site) -> None:
    wait_for("the engine's memory", lambda: owners(made).get("engine", 0))
    before = made.engine("chat")
    os.kill(before["shim_pid"], signal.SIGKILL)
    began = time.monotonic()
    made.wait_new_run("chat", before, 180)
    wait_for("memory", lambda: owners(made).get("engine", 0))
    assert owners(made)["orphan"] == 0
    REPORT.append(f"kill -9 of the shim: serving again after {time.monotonic() - began:.1f} s")


ILLEGAL = """
import cupy
kernel = cupy.RawKernel('extern "C" __global__ void f(long p) { *(volatile int*)p = 1; }', 'f')
try:
    kernel((1,), (1,), (0x10,))
    cupy.cuda.Device().synchronize()
except Exception as error:
    print(error)
"""


def test_xid_of_a_program_that_reads_wild_is_told_by_nvml_and_the_kernel(made: Site) -> None:
    before = {x["xid"] for x in made.control.gpus()["gpus"][0]["xids"]}
    with reading({}, Periods(5, 5, 5)) as reader:
        reader.next("slow")
        done = subprocess.run(
            [sys.executable, "-c", ILLEGAL], capture_output=True, text=True, check=False
        )
        xid = reader.next("xid", timeout_s=20)

    def seen() -> list[dict[str, Any]]:
        gpu = made.control.gpus()["gpus"][0]
        return [each for each in gpu["xids"] if each["xid"] not in before]

    found = wait_for("the Xid", seen)
    assert xid["code"] in {each["xid"] for each in found}
    assert all(each["count"] == 1 for each in found), "NVML and the kernel tell one Xid"
    assert found[0]["action"] == "restart_engine"
    kernel = subprocess.run(["dmesg"], capture_output=True, text=True, check=False).stdout
    lines = [line for line in kernel.splitlines() if "Xid" in line]
    assert made.engine("chat")["state"] == "ready"
    logged = [line for line in made.log().splitlines() if "xid_seen" in line]
    REPORT.append(f"illegal access ({done.stdout.strip()[:60]}): {logged}; kernel: {lines[-1:]}")


def test_pcie_counter_wraps_at_four_gibibytes() -> None:
    code = (
        "import torch, sys\n"
        "x = torch.empty(1 << 30, dtype=torch.uint8, pin_memory=True)\n"
        "y = torch.empty(1 << 30, dtype=torch.uint8, device='cuda')\n"
        "for _ in range(10): y.copy_(x)\n"
        "torch.cuda.synchronize()\n"
    )
    with reading({}, Periods(1, 5, 1)) as reader:
        before = values(reader)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = values(reader)
    moved = {
        k: (after[k] - before[k]) % 2**32 for k in after if k.startswith("pcie_") and "bytes" in k
    }
    assert all(after[k] < 2**32 for k in moved)
    REPORT.append(f"10 GiB copied to the GPU; NVML's 32-bit counters moved by {moved}")


BETWEEN = (
    "import torch\n"
    "x = torch.empty(1 << 30, dtype=torch.uint8, device='cuda:0')\n"
    "y = torch.empty(1 << 30, dtype=torch.uint8, device='cuda:1')\n"
    "for _ in range(20): y.copy_(x)\n"
    "torch.cuda.synchronize(0); torch.cuda.synchronize(1)\n"
)


def test_two_gpus_are_told_apart_and_nvlink_counts(tmp_path: Path) -> None:
    """On a host with more than one: an engine on the second GPU, bytes over NVLink."""
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    if len(listed.stdout.splitlines()) < 2:
        pytest.skip("this host has one GPU")
    with reading({}, Periods(1, 5, 1)) as reader:
        reader.drop()
        before = reader.next("slow")["values"]
        subprocess.run([sys.executable, "-c", BETWEEN], check=True)
        reader.drop()
        reader.next("slow")
        after = reader.next("slow")["values"]
    moved = {
        uuid: {
            key: round((after[uuid][key] - before[uuid][key]) / GIB, 2)
            for key in after[uuid]
            if key.startswith("nvlink_")
        }
        for uuid in after
    }
    REPORT.append(f"20 GiB from the first GPU to the second; NVLink counted, in GiB: {moved}")
    one = host(tmp_path, 'CUDA_VISIBLE_DEVICES = "1", ')
    with running(one):
        one.wait_state("chat", "ready", 120)

        def held() -> list[int]:
            return [
                sum(each["bytes"] for each in gpu["owners"] if each["owner"] == "engine")
                for gpu in one.control.gpus()["gpus"]
            ]

        found = wait_for("its memory", lambda: held() if any(held()) else None)
        assert found[0] == 0
        assert found[1] > 10 * GIB
        margins = [list(gpu["restart_margin_bytes"]) for gpu in one.control.gpus()["gpus"]]
        assert margins[1] == ["chat"]
        assert margins[0] == []
        REPORT.append("vllmd gpu on two GPUs:\n" + one.vllmd("gpu").stdout)


def test_rules_about_gpus_ask_for_what_the_page_has(made: Site) -> None:
    """What a healthy GPU has no samples of is named; all the rest is there."""
    not_here = {"vllmd_gpu_xid_last_timestamp_seconds", "vllmd_gpu_memory_floor_bytes"}
    asked = {n for n in used_names() if re.match("vllmd_(gpu|nvml)_", n)} - not_here
    asked.add("vllmd_engine_gpu_memory_growth_bytes")

    def missing() -> set[str]:
        return asked - set(re.findall(r"^(vllmd_\w+)[{ ]", made.metrics(), re.MULTILINE))

    wait_for(f"all of {len(asked)}", lambda: not missing(), 60)
    REPORT.append(f"{len(asked)} families of GPUs that rules ask for are on the page")
