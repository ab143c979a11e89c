"""CUDA and NVML with the rights that the units leave them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.conftest import REPORT

CONFINED = Path(__file__).with_name("confined.py")
ROOT = Path(__file__).parents[2]
NVML = """
import pynvml as nvml
nvml.nvmlInit()
gpu = nvml.nvmlDeviceGetHandleByIndex(0)
memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
processes = nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
print("ok", memory.total > 0, nvml.nvmlDeviceGetPowerUsage(gpu) > 0, len(processes) >= 0)
"""
CUDA = """
import torch
a = torch.randn(512, 512, device="cuda")
pinned = torch.empty(1 << 20, pin_memory=True)
compiled = torch.compile(lambda x: torch.relu(x @ x + 1))
print("ok", torch.allclose(compiled(a), torch.relu(a @ a + 1), atol=1e-2), pinned.is_pinned())
"""
SHARED = """
import torch, torch.multiprocessing as mp

def look(queue, said):
    said.put(float(queue.get().sum()))

if __name__ == "__main__":
    context = mp.get_context("spawn")
    queue, said = context.Queue(), context.Queue()
    child = context.Process(target=look, args=(queue, said))
    child.start()
    tensor = torch.ones(1 << 20, device="cuda")
    queue.put(tensor)
    print("ok", said.get(timeout=120) == 1 << 20)
    child.join()
"""
ALL_REDUCE = """
import os, torch, torch.distributed as dist, torch.multiprocessing as mp

def add(rank):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29577")
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", rank=rank, world_size=2)
    for size in (1, 1 << 10, 1 << 24):
        part = torch.full((size,), rank + 1.0, device="cuda")
        dist.all_reduce(part)
        assert bool((part == 3.0).all()), size
    dist.destroy_process_group()

if __name__ == "__main__":
    mp.spawn(add, nprocs=2)
    print("ok")
"""
WRITE_AND_RUN = """
import mmap
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    print("allowed")
except PermissionError:
    print("refused")
"""


def confined(unit: str, script: str, folder: Path, **env: str) -> str:
    """Run a script with the rights of a unit; return what it printed last."""
    folder.chmod(0o777)
    program = folder / "program.py"
    program.write_text(script)
    where = {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(CONFINED), unit, sys.executable, str(program)],
        env={**os.environ, **where, **env},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture
def open_folder() -> Path:
    """Return a folder that a service's user can reach; pytest's own are root's alone."""
    folder = Path("/tmp") / f"vllmd-confined-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    return folder


def test_nvml_reads_with_the_daemons_rights(open_folder: Path) -> None:
    assert confined("daemon", NVML, open_folder) == "ok True True True"
    assert confined("daemon", WRITE_AND_RUN, open_folder) == "refused"
    REPORT.append("NVML reads under the daemon's system calls, MemoryDenyWriteExecute included")


def test_cuda_compiles_and_runs_with_an_engines_rights(open_folder: Path) -> None:
    assert confined("engine", CUDA, open_folder) == "ok True True"
    REPORT.append("CUDA, pinned memory and torch.compile (Triton) under an engine's system calls")


@pytest.mark.parametrize("segments", ["False", "True"])
def test_workers_share_gpu_memory_with_an_engines_rights(open_folder: Path, segments: str) -> None:
    config = f"expandable_segments:{segments}"
    said = confined("engine", SHARED, open_folder, PYTORCH_CUDA_ALLOC_CONF=config)
    assert said == "ok True"
    REPORT.append(f"two processes share GPU memory, {config}, under an engine's system calls")


@pytest.mark.parametrize("segments", ["False", "True"])
def test_nccl_adds_over_two_gpus_with_an_engines_rights(open_folder: Path, segments: str) -> None:
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    if len(listed.stdout.splitlines()) < 2:
        pytest.skip("needs two GPUs")
    config = f"expandable_segments:{segments}"
    keys = {"PYTORCH_CUDA_ALLOC_CONF": config, "NCCL_NVLS_ENABLE": "0"}
    assert confined("engine", ALL_REDUCE, open_folder, **keys) == "ok"
    REPORT.append(f"NCCL over two GPUs, {config}, under an engine's system calls")
