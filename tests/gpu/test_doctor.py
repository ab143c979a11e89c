"""What the doctor and init see of a real GPU, its driver and its device nodes."""

import json
import subprocess
from pathlib import Path

from tests.helpers.make import config
from tests.helpers.site import VLLMD
from vllmd.config.load import load
from vllmd.doctor import host
from vllmd.doctor.account import of_engines
from vllmd.installing.nvidia_driver import NEEDS, driver_version, has_gpu, too_old
from vllmd.util.units import GIB, MIB

ROUNDED = MIB
"""NVML rounds the reserved part up: an idle H200 has 1 MiB more free than it leaves to CUDA."""


def smi(key: str) -> list[str]:
    command = ["nvidia-smi", f"--query-gpu={key}", "--format=csv,noheader"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.strip() for line in said.splitlines()]


def test_driver_and_devices_are_seen_as_they_are() -> None:
    assert has_gpu()
    assert driver_version() == smi("driver_version")[0]
    assert driver_version(Path("/no/file")) == smi("driver_version")[0]
    assert list(host.closed_devices(of_engines(unit=False))) == []
    assert host.persistence() is all(mode == "Enabled" for mode in smi("persistence_mode"))


def test_driver_fits_the_cuda_that_it_says_it_has() -> None:
    import torch

    driver = driver_version()
    assert driver is not None
    assert int(torch.version.cuda.split(".")[0]) in NEEDS
    assert too_old(driver, torch.version.cuda) is None


def test_host_has_gpus_with_memory() -> None:
    found = host.look(config(""), None, None)
    assert found.gpus
    assert found.driver == driver_version()
    assert all(8 * GIB < gpu.free <= gpu.cuda + ROUNDED < gpu.total for gpu in found.gpus)


def test_init_takes_a_share_that_is_free(tmp_path: Path) -> None:
    path = tmp_path / "vllmd.toml"
    command = [str(VLLMD), "init", "--yes", "--json", "--model", "Qwen/Qwen3-8B"]
    done = subprocess.run([*command, "--config", str(path)], capture_output=True, check=True)
    assert json.loads(done.stdout)["path"] == str(path)
    share = load(path)[0].engines["main"].gpu_memory_utilization
    assert share is not None
    assert 0.5 < share <= 0.9
