import shutil
import subprocess
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from tests.helpers.clock import FakeClock
from tests.helpers.make import gpu, gpu_device, gpu_figures
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.gpu.metrics import GpusCollector
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.readers import DisabledRow
from vllmd.gpu.rows import ROWS
from vllmd.gpu.snapshot import GpuFigures, SeenXid


def page(figures: GpuFigures) -> str:
    registry = CollectorRegistry()
    registry.register(GpusCollector(lambda: figures, FakeClock()))
    return generate_latest(registry).decode()


def whole(**more: Any) -> GpuFigures:
    one = gpu(
        values={row.key: float(n) for n, row in enumerate(ROWS)},
        peaks={"memory_used_bytes": 9.0, "power_watts": 8.0},
        owners={(Owner.ENGINE, "chat"): 5, (Owner.ORPHAN, None): 0, (Owner.FREE, None): 7},
        holders=(Holder(1, 5, Owner.ENGINE, "chat", "secret name", "user"),),
        margins={"chat": -3.0},
        budgets={"chat": 7.0},
        xids=(SeenXid.of(79, 2, 5.0),),
    )
    return gpu_figures(one, growth={"chat": 11}, errors={"999": 4}, **more)


def test_every_row_is_on_the_page_and_promtool_likes_it() -> None:
    text = page(whole())
    for row in ROWS:
        labels = f'{row.label[0]}="{row.label[1]}"' if row.label else ""
        lines = [line for line in text.splitlines() if line.startswith(f"vllmd_gpu_{row.name}{{")]
        assert any(labels in line for line in lines), row.key
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    types = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names == types
    if shutil.which("promtool"):
        command = ["promtool", "check", "metrics"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_memory_has_owners_margins_and_growth() -> None:
    text = page(whole())
    owned = 'gpu="0",owner="engine",uuid="GPU-1",vllmd_engine="chat"'
    assert f"vllmd_gpu_memory_by_owner_bytes{{{owned}}} 5.0" in text
    assert 'vllmd_gpu_processes{gpu="0",owner="engine",uuid="GPU-1"} 1.0' in text
    assert 'vllmd_gpu_processes{gpu="0",owner="foreign",uuid="GPU-1"} 0.0' in text
    assert (
        'vllmd_gpu_memory_restart_margin_bytes{gpu="0",uuid="GPU-1",vllmd_engine="chat"} -3.0'
        in text
    )
    labels = 'gpu="0",uuid="GPU-1",vllmd_engine="chat"'
    assert f"vllmd_gpu_memory_budget_bytes{{{labels}}} 7.0" in text
    assert 'vllmd_engine_gpu_memory_growth_bytes{vllmd_engine="chat"} 11.0' in text
    assert 'vllmd_gpu_memory_used_max_bytes{gpu="0",uuid="GPU-1"} 9.0' in text
    assert 'vllmd_gpu_power_max_watts{gpu="0",uuid="GPU-1"} 8.0' in text


def test_names_of_processes_and_users_are_no_labels() -> None:
    text = page(whole())
    assert "secret name" not in text
    assert "user" not in text.replace("user_", "")


def test_xids_have_a_count_and_a_time() -> None:
    text = page(whole())
    labels = 'action="reboot",gpu="0",uuid="GPU-1",xid="79"'
    assert f"vllmd_gpu_xid_errors_total{{{labels}}} 2.0" in text
    assert f"vllmd_gpu_xid_last_timestamp_seconds{{{labels}}} 5.0" in text


def test_what_is_not_known_is_absent() -> None:
    text = page(gpu_figures(gpu()))
    assert "vllmd_gpu_power_watts" not in text
    assert "vllmd_gpu_memory_by_owner_bytes{" not in text
    assert 'vllmd_gpu_up{gpu="0",uuid="GPU-1"} 1.0' in text


def test_lost_gpu_is_down_and_says_nothing_else() -> None:
    text = page(gpu_figures(gpu(lost="lost", lost_since=1_000_000.0), gpu("GPU-2")))
    assert 'vllmd_gpu_up{gpu="0",uuid="GPU-1"} 0.0' in text
    since = [line for line in text.splitlines() if line.startswith("vllmd_gpu_lost_timestamp")]
    assert since == ['vllmd_gpu_lost_timestamp_seconds{gpu="0",uuid="GPU-1"} 1e+06']
    assert "vllmd_nvml_up 1.0" in text


def test_where_the_newest_reading_is_old_nvml_is_down() -> None:
    assert "vllmd_nvml_up 0.0" in page(gpu_figures(gpu(lost="not_read")))


def test_reader_without_readings_says_why() -> None:
    text = page(gpu_figures(problem=ReaderProblem("hung", "x"), success_at=None, took_s={}))
    assert "vllmd_nvml_up 0.0" in text
    assert 'vllmd_nvml_problem{reason="hung"} 1.0' in text
    assert 'vllmd_nvml_problem{reason="died"} 0.0' in text
    assert "last_success" not in text


def test_gpu_that_shares_the_hosts_memory_is_marked() -> None:
    values = {"memory_total_bytes": 100e9}
    shared = gpu(device=gpu_device("GPU-2", index=1, unified=True), values=values)
    text = page(gpu_figures(gpu(), shared))
    assert 'vllmd_gpu_unified_memory{gpu="1",uuid="GPU-2"} 1.0' in text
    assert 'vllmd_gpu_unified_memory{gpu="0"' not in text
    assert 'vllmd_gpu_memory_floor_bytes{gpu="1",uuid="GPU-2"} 2e+09' in text


def test_row_that_is_not_read_any_more_is_named() -> None:
    rows = (DisabledRow("GPU-1", "power_watts", "hung"), DisabledRow("", "xid_events", "found"))
    text = page(gpu_figures(gpu(), disabled=rows))
    where = 'gpu="0",reason="hung",row="power_watts",uuid="GPU-1"'
    assert f"vllmd_nvml_row_disabled{{{where}}} 1.0" in text
    assert 'vllmd_nvml_row_disabled{gpu="",reason="found",row="xid_events",uuid=""} 1.0' in text


def test_driver_that_was_changed_is_on_the_page() -> None:
    text = page(gpu_figures(mismatch="x", library="580.2"))
    assert "vllmd_nvml_driver_mismatch 1.0" in text
    assert 'vllmd_gpu_driver_info{kernel="580.1",library="580.2"} 1.0' in text


def test_instance_names_its_parent() -> None:
    name = "NVIDIA H100 MIG 1g.10gb"
    device = gpu_device("MIG-1", name=name, parent="GPU-1", gpu_instance=7, compute_instance=0)
    text = page(gpu_figures(gpu(), gpu(device=device)))
    assert 'parent="GPU-1"' in text
    assert 'profile="1g.10gb"' in text
    assert 'gpu="0:7:0"' in text


def test_demo_is_no_nvml() -> None:
    text = page(gpu_figures(gpu(), source="demo"))
    assert "vllmd_gpu_demo 1.0" in text
    assert "vllmd_nvml_up" not in text


def test_host_without_gpus_has_no_metric_of_them() -> None:
    assert page(gpu_figures(source="none", problem=ReaderProblem("disabled", "x"))) == ""
