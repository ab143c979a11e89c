"""The host: its memory, its limits, its disks, its clock."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.util.units import GIB, MIB, format_bytes

PROCESS_BYTES = int(1.75 * GIB)
"""What Python, PyTorch and vLLM take. Source: 1.9 GiB (PSS), vLLM 0.32 for the CPU with a tiny
model and a KV cache that nothing had used yet."""
MIN_SHARED_BYTES = GIB
MIN_OPEN_FILES = 65_535
"""Source: vllm/utils/system_utils.py, set_ulimit."""
MIN_LOCKED_BYTES = GIB
LITTLE_BYTES, TOO_LITTLE_BYTES = 2 * GIB, 200 * MIB
MODEL_BYTES = 20 * GIB
"""What a model of 8 billion parameters takes, with room for the download."""
HUGE_BYTES = 5 * GIB


def host_memory(case: Case) -> Iterator[Finding]:
    """Find what the kernel would end by killing: on the CPU the model is in this memory too."""
    memory = case.host.memory_bytes
    if memory is None or case.engine.is_stand_in:
        return
    needed = PROCESS_BYTES
    parts = f"{format_bytes(PROCESS_BYTES)} for the program"
    if case.on_cpu:
        weights, cache = case.demand.weights_bytes, case.cpu_cache_bytes
        needed += weights + cache
        parts += f", {format_bytes(weights)} of weights, {format_bytes(cache)} of KV cache"
    if memory >= needed:
        return
    whose = "a control group allows" if case.host.memory_limited else "the host has"
    yield Finding(
        "host-memory",
        FindingSeverity.ERROR,
        f"{whose} {format_bytes(memory)}, and the engine takes {format_bytes(needed)} ({parts})",
        "The kernel kills the engine while it loads.",
        "Raise MemoryMax of the unit (or the container's limit), or take a smaller model"
        + (", or set env.VLLM_CPU_KVCACHE_SPACE lower." if case.on_cpu else "."),
    )


def host_cpus(case: Case) -> Iterator[Finding]:
    """Find fewer processors than busy processes: the API server, EngineCore, a worker a GPU."""
    cpus = case.host.cpus
    needed = 2 if case.on_cpu else 2 + case.gpu_count
    if cpus is None or cpus >= needed or case.engine.is_stand_in:
        return
    whose = "a control group allows" if case.host.cpus_limited else "the host has"
    yield Finding(
        "host-cpus",
        FindingSeverity.WARNING,
        f"{whose} {cpus:.3g} processors, and {needed} processes of the engine are busy at once",
        "They wait for each other: tokens come slowly, with the GPU idle, and a load takes long.",
        "Raise CPUQuota= of the unit (or the container's limit) to the processes and a few more.",
    )


def shared_memory(case: Case) -> Iterator[Finding]:
    """Find a container's 64 MB under several GPUs, or under the build for the CPU.

    Source of the latter: vLLM 0.32 for the CPU in a container with 64 MB, which did not start.
    """
    size = case.host.shared_memory_bytes
    if case.engine.is_stand_in or not (case.gpu_count > 1 or case.on_cpu):
        return
    if size is None or size >= MIN_SHARED_BYTES:
        return
    whose = "the build for the CPU" if case.on_cpu else f"{case.gpu_count} workers"
    yield Finding(
        "shared-memory",
        FindingSeverity.ERROR,
        f"/dev/shm has {format_bytes(size)}, which {whose} cannot do with",
        "NCCL and vLLM's own queues need it; they fail, or hang in the load.",
        "In a container: --shm-size=8g or --ipc=host; else mount it larger.",
    )


def open_files(case: Case) -> Iterator[Finding]:
    """Find a limit that vLLM warns of at its start."""
    limit = case.host.open_files
    if limit is None or limit >= MIN_OPEN_FILES or case.engine.is_stand_in:
        return
    yield Finding(
        "open-files",
        FindingSeverity.WARNING,
        f"at most {limit:,} files may be open (ulimit -n)",
        "Each connection is one: with many clients vLLM ends with 'Too many open files'.",
        f"Under systemd the package's unit sets it; else: ulimit -n {MIN_OPEN_FILES}",
    )


def locked_memory(case: Case) -> Iterator[Finding]:
    """Find a limit that stands in the way of RDMA and of large pinned buffers."""
    limit = case.host.locked_memory_bytes
    several = case.gpu_count > 1
    if limit is None or limit >= MIN_LOCKED_BYTES or not several:
        return
    yield Finding(
        "locked-memory",
        FindingSeverity.WARNING,
        f"at most {format_bytes(limit)} may be locked (ulimit -l), and {case.gpu_count} GPUs work "
        "together",
        "NCCL registers memory for RDMA, and fails or falls back to slower ways where it may not.",
        "Under systemd the package's unit sets LimitMEMLOCK=infinity; else: ulimit -l unlimited",
    )


def disk_space(case: Case) -> Iterator[Finding]:
    """Find disks without room for logs, kernels, or a model that has to be downloaded."""
    for disk in case.host.disks:
        models = disk.purpose == "downloaded models"
        wanted = MODEL_BYTES if models and case.to_be_downloaded else LITTLE_BYTES
        if models and not case.to_be_downloaded:
            continue
        if disk.size is not None and not models:
            wanted = min(wanted, disk.size // 10)  # one of a few megabytes was made for little
        enough = disk.free >= TOO_LITTLE_BYTES if disk.enough is None else disk.enough
        if enough and disk.free >= wanted:
            continue
        files = "" if disk.free_files is None else f", and {disk.free_files:,} files (inodes),"
        yield Finding(
            "disk-space",
            FindingSeverity.WARNING if enough else FindingSeverity.ERROR,
            f"{format_bytes(disk.free)}{files} are free for {disk.purpose} ({disk.folder})",
            "Without room a download fails, kernels are compiled at each start, and the log "
            "is dropped where it cannot be written.",
            f"Make room; what takes it: du -xh --max-depth=2 {disk.folder} | sort -h",
        )


def clock(case: Case) -> Iterator[Finding]:
    """Find a clock that drifts."""
    if case.host.synchronized is not False:
        return
    yield Finding(
        "clock",
        FindingSeverity.WARNING,
        "the clock is not synchronized (timedatectl)",
        "Metrics, spans and logs of different hosts cannot be laid side by side, and certificates "
        "of the hub are refused when it is far off.",
        "timedatectl set-ntp true, or install chrony.",
    )


def leftovers(case: Case) -> Iterator[Finding]:
    """Find what is large, and will not be missed."""
    for each in case.host.leftovers:
        if each.size < HUGE_BYTES:
            continue
        yield Finding(
            "leftovers",
            FindingSeverity.INFO,
            f"{format_bytes(each.size)} of {each.what} ({each.where})",
            "Nothing that serves reads it; kernels are compiled again at the next start.",
            "Remove it, while no engine starts.",
        )
