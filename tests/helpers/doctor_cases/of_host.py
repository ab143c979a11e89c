"""Of the GPUs, the host, its disks and network, and other hosts."""

import attrs

from tests.helpers.doctor import H200, case, m8b
from tests.helpers.doctor_cases.make import (
    CPU,
    CUDA,
    ERROR,
    INFO,
    NOWHERE,
    T4,
    WARNING,
    Make,
    other,
)
from vllmd.doctor.case import Disk, Leftover
from vllmd.doctor.finding import FindingSeverity
from vllmd.doctor.seen import GpuFacts
from vllmd.util.units import GIB, MIB

TWO = tuple(attrs.evolve(H200, uuid=f"GPU-{number}") for number in range(2))
DIVIDED = (
    TWO[0],
    *(GpuFacts(10 * GIB, 0, 10 * GIB, uuid=f"MIG-{n}", parent="GPU-0") for n in range(2)),
)


def sees(names: str) -> dict[str, str]:
    """Return what an engine is told."""
    return {"CUDA_VISIBLE_DEVICES": names}


BAD: list[tuple[str, FindingSeverity, str, Make]] = [
    (
        "gpu-count",
        ERROR,
        "2 GPUs are asked for (tensor, pipeline and data parallel), and 1 can be seen",
        lambda _: case("flags = { tensor-parallel-size = 2 }"),
    ),
    (
        "gpu-count",
        ERROR,
        "(CUDA_VISIBLE_DEVICES = 1)",
        lambda _: case(
            "flags = { tensor-parallel-size = 2 }",
            gpus=(H200, H200),
            env={"CUDA_VISIBLE_DEVICES": "1"},
        ),
    ),
    (
        "gpu-share",
        WARNING,
        "8.0 GiB of the GPU are free, 7.3 GiB once CUDA's context has its 700.0 MiB, and "
        "gpu_memory_utilization 0.92 asks for 7.4 GiB",
        lambda _: case("", gpus=(GpuFacts(8 * GIB, 0, 8 * GIB),)),
    ),
    (
        "unified-memory",
        WARNING,
        "gpu_memory_utilization 0.92 leaves 9.6 GiB of the host's 120.0 GiB",
        lambda _: case("", gpus=(GpuFacts(120 * GIB, 0, 115 * GIB, unified=True),)),
    ),
    (
        "gpu-share",
        ERROR,
        "69.6 GiB of the GPU are free, and gpu_memory_utilization 0.7 asks for 97.9 GiB",
        lambda _: case(
            "gpu_memory_utilization = 0.7",
            gpus=(attrs.evolve(H200, free=int(69.63 * GIB)),),
        ),
    ),
    (
        "port-taken",
        ERROR,
        "port 8000 answers, and it is not the engine",
        lambda _: case(in_use={("127.0.0.1", 8000): ""}),
    ),
    (
        "port-taken",
        ERROR,
        "port 8000 is in use by nginx (pid 7)",
        lambda _: case(in_use={("127.0.0.1", 8000): "nginx (pid 7)"}),
    ),
    (
        "shared-memory",
        ERROR,
        "/dev/shm has 64.0 MiB, which 2 workers cannot do with",
        lambda _: case(
            "flags = { tensor-parallel-size = 2 }",
            gpus=(H200, H200),
            shared_memory_bytes=64 * MIB,
        ),
    ),
    (
        "shared-memory",
        ERROR,
        "which the build for the CPU cannot do with",
        lambda _: other(installed=CPU, shared_memory_bytes=64 * MIB),
    ),
    (
        "host-cpus",
        WARNING,
        "a control group allows 1.5 processors, and 3 processes",
        lambda _: case(cpus=1.5, cpus_limited=True),
    ),
    (
        "host-cpus",
        WARNING,
        "the host has 3 processors, and 4 processes",
        lambda _: case("flags = { tensor-parallel-size = 2 }", gpus=(H200, H200), cpus=3),
    ),
    ("open-files", WARNING, "at most 1,024 files", lambda _: case(open_files=1024)),
    ("right-tool", INFO, "no NVIDIA GPU", lambda _: case(gpus=())),
    (
        "right-tool",
        INFO,
        "million parameters",
        lambda _: case(model=attrs.evolve(m8b(), tensors=dict(list(m8b().tensors.items())[2:10]))),
    ),
    ("engine-missing", ERROR, "no program '/opt/vllm/bin/vllm'", lambda _: other(found=False)),
    ("hub", ERROR, "no token was given", lambda _: other(hub="no token was given")),
    (
        "model-readable",
        ERROR,
        "may not enter it",
        lambda _: other(unreadable="/srv: user vllmd may not enter it"),
    ),
    (
        "driver",
        ERROR,
        "driver 570.1, and vLLM 0.32.0 is built for CUDA 13.0",
        lambda _: other(installed=CUDA, driver="570.1"),
    ),
    (
        "driver",
        ERROR,
        "no NVIDIA driver is loaded",
        lambda _: other(installed=CUDA, gpus=()),
    ),
    ("driver", WARNING, "there are GPUs", lambda _: other(installed=CPU)),
    (
        "devices",
        ERROR,
        "/dev/nvidia-uvm (missing)",
        lambda _: case(driver="580.1", closed_devices=("/dev/nvidia-uvm (missing)",)),
    ),
    (
        "devices",
        ERROR,
        "/dev/nvidia0 (missing) (NVIDIA_VISIBLE_DEVICES = 'void')",
        lambda _: case(
            driver="580.1",
            gpus=None,
            closed_devices=("/dev/nvidia0 (missing)",),
            in_container=True,
            env={"NVIDIA_VISIBLE_DEVICES": "void"},
        ),
    ),
    (
        "devices",
        ERROR,
        "2 GPUs are listed, and /dev has a node for 1",
        lambda _: case("flags = { tensor-parallel-size = 2 }", gpus=TWO, gpu_nodes=1),
    ),
    (
        "devices",
        WARNING,
        "2 GPUs are listed, and /dev has a node for 1",
        lambda _: case(gpus=TWO, gpu_nodes=1),
    ),
    (
        "visible-devices",
        ERROR,
        "CUDA_VISIBLE_DEVICES = '3' names '3', and 2 GPUs are here (the container was given the "
        "host's 3,5; in it they count from 0)",
        lambda _: case(gpus=TWO, env={**sees("3"), "NVIDIA_VISIBLE_DEVICES": "3,5"}),
    ),
    (
        "visible-devices",
        ERROR,
        "names 'all', which is a word of NVIDIA_VISIBLE_DEVICES",
        lambda _: case(gpus=TWO, env=sees("all")),
    ),
    (
        "visible-devices",
        ERROR,
        "names 'MIG-7', and 2 GPUs are here",
        lambda _: case(gpus=TWO, env=sees("MIG-7")),
    ),
    (
        "visible-devices",
        ERROR,
        "names 'GPU-': it begins the UUIDs of 2 GPUs",
        lambda _: case(gpus=TWO, env=sees("GPU-")),
    ),
    (
        "visible-devices",
        ERROR,
        "names '0': it is named twice",
        lambda _: case(gpus=TWO, env=sees("0,0")),
    ),
    ("visible-devices", ERROR, "names no GPU", lambda _: case(env=sees(""))),
    (
        "visible-devices",
        WARNING,
        "NVIDIA_VISIBLE_DEVICES = '0' stands among the engine's variables",
        lambda _: case('env = { NVIDIA_VISIBLE_DEVICES = "0" }'),
    ),
    (
        "gpu-count",
        ERROR,
        "2 GPUs are asked for (tensor, pipeline and data parallel), and 1 can be seen: of "
        "instances (MIG) a process sees one",
        lambda _: case("flags = { tensor-parallel-size = 2 }", gpus=DIVIDED),
    ),
    ("persistence-mode", INFO, "is off", lambda _: case(persistent=False)),
    (
        "gpu-rows",
        INFO,
        "not read any more: power_watts of GPU 1, xid_events of all GPUs",
        lambda _: case(disabled_rows=("power_watts of GPU 1", "xid_events of all GPUs")),
    ),
    (
        "locked-memory",
        WARNING,
        "at most 8.0 MiB may be locked",
        lambda _: case(
            "flags = { tensor-parallel-size = 2 }",
            gpus=(H200, H200),
            locked_memory_bytes=8 * MIB,
        ),
    ),
    (
        "host-memory",
        ERROR,
        "a control group allows 1.0 GiB",
        lambda _: case(memory_bytes=GIB, memory_limited=True),
    ),
    (
        "host-memory",
        ERROR,
        "15.3 GiB of weights, 4.0 GiB of KV cache",
        lambda _: other(installed=CPU, env={"VLLM_CPU_KVCACHE_SPACE": "4"}, memory_bytes=16 * GIB),
    ),
    (
        "disk-space",
        ERROR,
        "100.0 MiB are free for vllmd's logs (/var/log/vllmd)",
        lambda _: case(disks=(Disk("vllmd's logs", "/var/log/vllmd", 100 * MIB),)),
    ),
    (
        "disk-space",
        ERROR,
        "2.0 MiB, and 0 files (inodes), are free for vllmd's state (/s)",
        lambda _: case(disks=(Disk("vllmd's state", "/s", 2 * MIB, 8 * MIB, False, 0),)),
    ),
    (
        "disk-space",
        WARNING,
        "512.0 KiB are free for vllmd's state (/s)",
        lambda _: case(disks=(Disk("vllmd's state", "/s", MIB // 2, 8 * MIB, True),)),
    ),
    (
        "disk-space",
        WARNING,
        "5.0 GiB are free for downloaded models",
        lambda _: case(
            model=NOWHERE, name="org/m", disks=(Disk("downloaded models", "/c", 5 * GIB),)
        ),
    ),
    ("clock", WARNING, "not synchronized", lambda _: case(synchronized=False)),
    ("proxies", WARNING, "http_proxy is set", lambda _: case(env={"http_proxy": "http://p:3128"})),
    (
        "stop-timeout",
        WARNING,
        "a stop takes up to 5m 25s (drain_s, stop_grace_s), and TimeoutStopSec is 2m",
        lambda _: case("drain_s = 300", stop_s=120.0),
    ),
    (
        "secrets",
        WARNING,
        "every user of this host may read",
        lambda _: case(readable_secrets=("/k",)),
    ),
    ("secrets", WARNING, "may write to /run/x", lambda _: case(writable_folders=("/run/x",))),
    (
        "leftovers",
        INFO,
        "40.0 GiB of interrupted downloads",
        lambda _: case(leftovers=(Leftover("interrupted downloads", "/c", 40 * GIB),)),
    ),
    (
        "compute-capability",
        ERROR,
        'dtype = "bfloat16", and the GPU has compute capability 7.5',
        lambda _: case('flags = { dtype = "bfloat16" }', gpus=(T4,)),
    ),
    ("right-tool", INFO, "max_num_seqs = 1", lambda _: case("max_num_seqs = 1")),
]
