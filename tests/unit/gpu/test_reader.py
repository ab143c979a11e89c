"""The reader on the stand-in library, through the real pynvml, as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pynvml
import pytest

from tests.helpers.nvml import RECORDED, UUID, FakeNvml, h200, recorded_fields
from tests.helpers.reading import reading
from vllmd.gpu import calls, host_memory, wire
from vllmd.gpu import reader as reader_module
from vllmd.gpu.calls import CallLog, RowKey
from vllmd.gpu.latest import Periods

GPU_2 = "GPU-00000000-0000-0000-0000-000000000002"
MIG = "MIG-00000000-0000-0000-0000-00000000000{}"

ASK = """
import json, sys, pynvml as n
n.nvmlInit()
h = n.nvmlDeviceGetHandleByIndex(0)
def plain(v):
    if isinstance(v, list): return [plain(x) for x in v]
    if hasattr(v, "_fields_"): return {f[0]: plain(getattr(v, f[0])) for f in v._fields_}
    if hasattr(v, "__dict__"): return {k: plain(x) for k, x in v.__dict__.items()}
    return list(v) if isinstance(v, tuple) else v
found = {}
for name in json.loads(sys.argv[1]):
    try: found[name] = [plain(getattr(n, name)(h)), None]
    except n.NVMLError as error: found[name] = [None, f"{type(error).__name__}({error.value})"]
found["MemoryInfo_v2"] = [plain(n.nvmlDeviceGetMemoryInfo(h, n.nvmlMemory_v2)), None]
ids = json.loads(sys.argv[2])
values = n.nvmlDeviceGetFieldValues(h, ids)
found["fields"] = {i: [v.nvmlReturn, v.valueType, v.value.ullVal] for i, v in zip(ids, values)}
print(json.dumps(found))
"""


def test_stand_in_answers_as_the_recorded_h200(tmp_path: Path) -> None:
    """What the tests stand on: every answer of the library equals what was recorded."""
    names = [
        name
        for name, about in RECORDED.items()
        if name.startswith("nvmlDevice") and "Coder" not in name
    ]
    unsupported_here = {  # the reader asks for none of these
        "nvmlDeviceGetEncoderUtilization",
        "nvmlDeviceGetDecoderUtilization",
    }
    names = [name for name in names if name not in unsupported_here]
    fields = recorded_fields()
    fake = FakeNvml(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(names), json.dumps(list(fields))],
        env={**os.environ, **fake.env},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    for name in names:
        recorded = RECORDED[name]
        if recorded["error"] is None:
            assert found[name] == [recorded["value"], None], name
        else:
            assert found[name][1] in (recorded["error"], "NVMLError_FunctionNotFound(13)"), name
    memory, _ = found["MemoryInfo_v2"]
    assert {k: v for k, v in memory.items() if k != "version"} == {
        k: v for k, v in RECORDED["MemoryInfo_v2"]["value"].items() if k != "version"
    }
    for number, (code, kind, value) in fields.items():
        if code == 0:
            assert found["fields"][str(number)] == [0, kind, value], number
        else:
            assert found["fields"][str(number)][0] == code, number


def test_healthy_gpu_is_read_whole(tmp_path: Path) -> None:
    with reading(FakeNvml(tmp_path).env) as reader:
        hello = reader.next("hello")
        (device,) = reader.next("devices")["devices"]
        once, fast = reader.next("once"), reader.next("fast")
        processes, slow = reader.next("processes"), reader.next("slow")
    assert (hello["source"], hello["driver"], hello["cuda"]) == ("nvml", "580.159.04", "13.0")
    assert hello["library"].endswith("libnvidia-ml.so.1")
    assert device == {
        "uuid": UUID,
        "index": 0,
        "name": "NVIDIA H200",
        "pci_bus_id": "00000000:00:06.0",
    }
    assert once["values"][UUID]["clock_max_hertz:sm"] == 1980e6
    values = fast["values"][UUID]
    assert values["memory_used_bytes"] == 22_534_750_208
    assert values["memory_reserved_bytes"] == 644_939_776
    assert values["busy_ratio"] == 0.96
    assert values["power_watts"] == 688.131
    assert values["clock_event_active:sw_power_cap"] == 1
    assert values["clock_event_active:hw_thermal"] == 0
    slow_values = slow["values"][UUID]
    assert slow_values["energy_joules_total"] == 8758.362
    assert slow_values["clock_event_seconds_total:sw_power_cap"] == pytest.approx(9.748811936)
    assert slow_values["pcie_transmit_bytes_total"] == 2_744_785_744
    assert "nvlink_transmit_bytes_total" not in slow_values  # one GPU: not supported
    assert processes["devices"][UUID]["processes"] == [[403, 22_525_509_632]]
    assert processes["devices"][UUID]["memory"]["free"] == 127_575_130_112
    assert fast["errors"] == {}


def test_what_is_not_supported_is_absent_and_no_error(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, h200(power=None, utilization=None, remapped=None, energy="!3"))
    with reading(fake.env) as reader:
        values = reader.next("fast")["values"][UUID]
        slow = reader.next("slow")
    assert "power_watts" not in values
    assert "busy_ratio" not in values
    assert "memory_used_bytes" in values
    assert not {"energy_joules_total", "row_remap_failed"} & slow["values"][UUID].keys()
    assert slow["errors"] == {}


def test_what_fails_now_is_absent_counted_and_asked_again(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, h200(power="!999"))
    with reading(fake.env) as reader:
        failed = reader.next("fast")
        fake.change(power=5000)
        while "power_watts" not in (after := reader.next("fast"))["values"][UUID]:
            pass
    assert "power_watts" not in failed["values"][UUID]
    assert failed["errors"]["999"] >= 1
    assert after["values"][UUID]["power_watts"] == 5.0


def test_gpus_are_counted_as_those_that_are_let_in(tmp_path: Path) -> None:
    """NVML counts one that a container was not given, and gives no handle; CUDA has no number."""
    fake = FakeNvml(tmp_path, h200(0, "GPU-a", denied=1), h200(1, "GPU-b"), h200(2, "GPU-c"))
    with reading(fake.env) as reader:
        found = reader.next("devices")["devices"]
    assert [(each["uuid"], each["index"]) for each in found] == [("GPU-b", 0), ("GPU-c", 1)]


def test_lost_gpu_is_named_the_other_is_read_on(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, h200(), h200(1, GPU_2, pci="00000000:00:07.0"))
    with reading(fake.env) as reader:
        assert reader.next("fast")["lost"] == {}
        fake.change(lost=1)
        while not (after := reader.next("fast"))["lost"]:
            pass
        assert after["lost"] == {UUID: "lost"}
        assert list(after["values"]) == [GPU_2]
        fake.change(lost=None)
        while (after := reader.next("fast"))["lost"]:
            pass
    assert set(after["values"]) == {UUID, GPU_2}


def test_xid_is_told_at_once(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, h200(), h200(1, GPU_2))
    with reading(fake.env, Periods(60, 60, 60)) as reader:
        reader.next("slow")
        fake.change_keys({"event": "1 1 31"})
        xid = reader.next("xid", timeout_s=5)
    assert (xid["uuid"], xid["code"]) == (GPU_2, 31)


def test_driver_without_events_is_read_all_the_same(tmp_path: Path) -> None:
    with reading(FakeNvml(tmp_path, h200(event_types=None)).env) as reader:
        assert reader.next("fast")["values"][UUID]


def test_processes_are_listed_when_asked_for(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    with reading(fake.env, Periods(60, 60, 0)) as reader:
        reader.next("processes")
        reader.drop()
        fake.uses((7, 5), (8, None))
        reader.tell("processes")
        listed = reader.next("processes")["devices"][UUID]["processes"]
        reader.tell("pace processes 0.1")
        reader.tell("nonsense")
        assert reader.next("processes")
        assert reader.next("processes")
    assert listed == [[7, 5], [8, None]]


def test_graphics_and_mps_processes_are_listed_once(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, h200(processes="7:-", graphics="7:5 9:3", mps="7:6"))
    with reading(fake.env) as reader:
        listed = reader.next("processes")["devices"][UUID]["processes"]
    assert listed == [[7, 5], [9, 3]]


@pytest.mark.parametrize("told", ["!3", "0 0 0 0"])
def test_gpu_without_memory_of_its_own_has_the_hosts_and_hides_no_other(
    tmp_path: Path, told: str
) -> None:
    """As a GB10 and a Jetson answer: not supported, nothing."""
    about: dict[str, Any] = {"name": "NVIDIA GB10", "memory": told, "processes": "4242:70000000000"}
    fake = FakeNvml(tmp_path, h200(**about), h200(1, GPU_2))
    host = host_memory.read()
    assert host is not None
    with reading(fake.env) as reader:
        first, second = reader.next("devices")["devices"]
        values = reader.next("fast")["values"]
        listed = reader.next("processes")["devices"]
    assert first["unified"]
    assert "unified" not in second
    memory = listed[UUID]["memory"]
    assert values[UUID]["memory_total_bytes"] == memory["total"] == host.total
    assert memory["used"] + memory["free"] == host.total
    assert listed[UUID]["processes"] == [[4242, 70_000_000_000]]
    assert values[GPU_2]["memory_used_bytes"] == 22_534_750_208
    assert listed[GPU_2]["memory"]["free"] == 127_575_130_112


def test_gpu_whose_memory_cannot_be_had_now_is_not_taken_for_the_hosts(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, h200(memory="!999"))
    with reading(fake.env) as reader:
        assert "unified" not in reader.next("devices")["devices"][0]
        assert "memory_total_bytes" not in reader.next("fast")["values"][UUID]
        assert reader.next("processes")["devices"] == {}


def mig_script(*indices: int) -> dict[str, Any]:
    keys: dict[str, Any] = {"mig_mode": "1 1", "mig_max": 7, "utilization": None}
    for n in indices:
        keys |= {
            f"mig.{n}.uuid": MIG.format(n),
            f"mig.{n}.name": "NVIDIA H200 MIG 1g.18gb",
            f"mig.{n}.gpu_instance": 7 + n,
            f"mig.{n}.compute_instance": 0,
            f"mig.{n}.memory": "100 1 80 19",
            f"mig.{n}.processes": f"{50 + n}:19",
        }
    return h200(**keys)


def test_instances_are_devices_with_a_parent(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, mig_script(0, 2))
    with reading(fake.env) as reader:
        parent, first, third = reader.next("devices")["devices"]
        values = reader.next("fast")["values"]
        listed = reader.next("processes")["devices"]
    assert "parent" not in parent
    assert (first["parent"], first["gpu_instance"], third["gpu_instance"]) == (UUID, 7, 9)
    assert values[MIG.format(2)] == {
        "memory_total_bytes": 100,
        "memory_reserved_bytes": 1,
        "memory_free_bytes": 80,
        "memory_used_bytes": 19,
    }
    assert listed[UUID]["processes"] == []
    assert listed[MIG.format(0)]["processes"] == [[50, 19]]


def test_instances_that_come_and_go_are_noticed(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, mig_script(0))
    with reading(fake.env) as reader:
        assert len(reader.next("devices")["devices"]) == 2
        fake.script.update(mig_script(0, 1))
        fake.write()
        assert len(reader.next("devices")["devices"]) == 3


def test_a_whole_gpu_that_is_divided_is_read_as_divided(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, {**mig_script(), "gpu.0.mig_mode": "0 0"})
    with reading(fake.env) as reader:
        assert len(reader.next("devices")["devices"]) == 1
        before = reader.next("processes")["devices"][UUID]["processes"]
        fake.script.update(mig_script(0))
        fake.write()
        assert len(reader.next("devices")["devices"]) == 2
        listed = reader.next("processes")["devices"]
        while MIG.format(0) not in listed:
            listed = reader.next("processes")["devices"]
    assert before != []
    assert listed[UUID]["processes"] == [], "they are listed by instance"
    assert listed[MIG.format(0)]["processes"] == [[50, 19]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"init": 9}, "no_driver"),
        ({"init": 18}, "driver_mismatch"),
        ({"init": 4}, "no_permission"),
        ({"init": 999}, "nvml_error"),
        ({"gpu.0.uuid": None}, "no_gpu"),
    ],
)
def test_what_is_wrong_at_the_start_is_said(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    fake = FakeNvml(tmp_path)
    fake.change_keys(changes)
    with reading(fake.env) as reader:
        problem = reader.next("problem")
        assert reader.process.wait(10) == 0
    assert problem["reason"] == reason
    assert problem["text"]


def test_library_that_is_missing_is_said(tmp_path: Path) -> None:
    with reading({"LD_LIBRARY_PATH": str(tmp_path)}) as reader:
        assert reader.next("problem")["reason"] == "no_library"


def test_driver_that_goes_away_ends_the_reader(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    with reading(fake.env) as reader:
        reader.next("fast")
        fake.change(power="!1")
        assert reader.next("problem")["reason"] == "uninitialized"


def test_reader_ends_with_its_standard_input(tmp_path: Path) -> None:
    with reading(FakeNvml(tmp_path).env) as reader:
        reader.next("fast")
        assert reader.process.stdin is not None
        reader.process.stdin.close()
        assert reader.process.wait(10) == 0


def test_reader_is_little_more_than_what_it_imports(tmp_path: Path) -> None:
    """Memory: `import pynvml` alone has 14 MB (measured); the goal is little above that."""
    with reading(FakeNvml(tmp_path).env) as reader:
        rss = reader.next("fast")["rss"]
    assert rss < 22_000_000


def test_mistake_in_watching_xids_is_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A driver or a binding that lacks a function must not cost the Xids for ever, unsaid."""
    sent: list[bytes] = []
    monkeypatch.setattr(reader_module, "EVENTS_RETRY_S", 0.0)
    monkeypatch.setattr(pynvml, "nvmlEventSetCreate", lambda: "set")

    def missing(*_: Any) -> None:
        raise AttributeError("nvmlEventSetWait_v2")

    monkeypatch.setattr(pynvml, "nvmlEventSetWait_v2", missing)
    events = reader_module.Events([], sent.append, CallLog(None))
    events.wait(0.1)
    assert events.watched, "tried again"
    events.wait(0.1)
    (told,) = map(wire.decode, sent)
    assert told["kind"] == "mistake"
    assert "nvmlEventSetWait_v2" in told["text"]


def test_reader_that_reads_a_part_tells_nothing_else(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    with reading(fake.env, Periods(0.05, 0.05, 0.0)) as reader:
        kinds = [reader.next_of_any()["kind"] for _ in range(6)]
        assert set(kinds) == {"hello", "devices", "fast", "processes"}
    with reading(fake.env, Periods(0.0, 0.0, 0.05)) as reader:
        kinds = [reader.next_of_any()["kind"] for _ in range(5)]
    assert kinds == ["hello", "devices", "once", "slow", "slow"]


def test_row_that_is_left_out_is_not_asked_for_and_its_call_is_noted(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, h200() | {"gpu.0.fault.power": "abort"})
    noted = calls.make([RowKey(UUID, "power_watts"), RowKey("", calls.EVENTS)])
    env = {**fake.env, calls.VARIABLE: str(noted)}
    with reading(env, pass_fds=(noted,)) as reader:
        values = reader.next("fast")["values"][UUID]
        reader.next("slow")
        asked = {key.row for key in calls.read(noted).called}
    assert "power_watts" not in values
    assert "memory_used_bytes" in values
    assert {"memory_total_bytes", "clock_hertz:sm", "processes", "energy_joules_total"} <= asked
    assert not {"power_watts", calls.EVENTS} & asked
