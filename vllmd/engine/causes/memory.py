"""Memory that ran out, of a GPU or of the host."""

import re

from vllmd.engine.causes import accelerators
from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told, number
from vllmd.engine.log_reading.phase import Phase
from vllmd.engine.log_reading.thrown import Thrown

_WHEN = {
    Phase.LOADING: "while the model was loaded",
    Phase.PROFILING: "while the loaded model was tried with its largest batch",
    Phase.WARM_UP: "while the engine warmed up (KV cache, CUDA graphs, sampler)",
    Phase.SERVING: "while the engine served requests",
}
_SMALLER = {
    Phase.LOADING: (
        "The weights do not fit beside what else is on the GPU: raise tensor_parallel_size, or "
        "take a smaller or quantized model; 'vllmd gpu' shows who else uses the GPU."
    ),
    Phase.PROFILING: "Lower max_num_batched_tokens or max_num_seqs, or raise tensor_parallel_size.",
    Phase.WARM_UP: "Lower max_num_seqs or gpu_memory_utilization, or set enforce_eager.",
    Phase.SERVING: "If it comes again, lower gpu_memory_utilization, max_num_seqs or "
    "max_model_len.",
}
COMPILER_KILLED = r"fatal error: Killed signal|died with <Signals\.SIGKILL"
"""How a compiler ends that the kernel's OOM killer took: it is there, and its code is right."""
_NOT_COUNTED = r"NVML_SUCCESS == .*INTERNAL ASSERT FAILED"
"""What PyTorch says if memory ran out, and NVML does not answer when it asks who has it."""
_HELD = re.compile(r"Process (\d+) has ([\d.]+) ([GM])iB memory in use")
_OWN = re.compile(r"this process has ([\d.]+) ([GM])iB|Of the allocated memory ([\d.]+) ([GM])iB")


_ALL = re.compile(
    r"total capacity of ([\d.]+) ([GM])iB of which ([\d.]+) ([GM])iB is free"
    r".*?this process has ([\d.]+) ([GM])iB"
)
_FIRST_USE = re.compile(r"^(?:init_device|set_device|_lazy_init|_cuda_init|mem_get_info)$")
_START = re.compile(r"failed to start|initialization failed|Failed core proc")
"""What vLLM says of an engine that never served."""


def _gib(size: str, unit: str) -> float:
    return float(size) / (1024 if unit == "M" else 1)


def _ran_out(found: Found) -> Told:
    """Say when it was, and who else holds memory where the message names them."""
    warming = "warming up" in found.whole
    phase = Phase.WARM_UP if warming else found.phase
    when = _WHEN.get(phase, "while the engine started")
    if re.search(_NOT_COUNTED, found.whole):
        return Told(
            "Look at 'nvidia-smi' as the engine's user; a container that lost its GPUs (systemctl "
            "daemon-reload takes them from it) has to be started again.",
            f"The GPU's memory ran out {when}, or its driver (NVML) does not answer any more.",
            Kind.TRANSIENT,
        )
    own = _OWN.search(found.whole)
    size = own and _gib(own[1] or own[3], own[2] or own[4])
    for held in _HELD.finditer(found.whole):
        theirs = _gib(held[2], held[3])
        if size is not None and abs(theirs - size) < 0.1 * theirs + 1:
            continue  # by the GPU's numbering it is this very process
        if size is not None and theirs > 1:
            return Told(
                f"Process {held[1]} holds {theirs:.1f} GiB of this GPU: end it ('vllmd gpu' names "
                "it), or lower gpu_memory_utilization.",
                f"The GPU's memory ran out {when}; another process holds {theirs:.1f} GiB of it.",
            )
    if (others := _unnamed(found.whole)) is not None:
        return Told(
            f"Other processes hold {others:.1f} GiB of this GPU ('vllmd gpu' names them): end "
            "them, or lower gpu_memory_utilization.",
            f"The GPU's memory ran out {when}; other processes hold {others:.1f} GiB of it.",
        )
    if found.sign.thrown is not None and _is_at_first_use(found.sign.thrown):
        return Told(
            "'vllmd gpu' names who holds it: end it ('vllmd gpu reap' if it is an orphan of ours), "
            "or take another GPU.",
            "The GPU's memory was full before the engine had put anything there: others hold it.",
            Kind.TRANSIENT,
        )
    wall = phase not in (Phase.SERVING, Phase.DRAINING, Phase.UNKNOWN) or (
        phase is Phase.UNKNOWN and _never_served(found)
    )
    advice = _SMALLER.get(phase, _SMALLER[Phase.SERVING])
    return Told(advice, f"The GPU's memory ran out {when}.", Kind.CONFIGURATION if wall else None)


def _is_at_first_use(thrown: Thrown) -> bool:
    """Tell whether it ran out while a process began to use the GPU, and had loaded nothing."""
    functions = thrown.functions
    return "load_model" not in functions and any(map(_FIRST_USE.search, functions))


def _unnamed(text: str) -> float | None:
    """Return how many GiB processes hold that PyTorch cannot see, as from inside a container."""
    said = _ALL.search(text)
    if said is None:
        return None
    total, free, own = (_gib(said[n], said[n + 1]) for n in (1, 3, 5))
    others = total - free - own
    return others if others > max(2, 0.1 * total) else None


def _never_served(found: Found) -> bool:
    headers = (sign.thrown.header for sign in found.reading.signs if sign.thrown)
    lines = (sign.lines[0] for sign in found.reading.signs)
    return any(map(_START.search, (*headers, *lines)))


def _kv_advice(found: Found) -> Told:
    length = number(r"estimated maximum model length is (\d+)", found.whole) or number(
        r"stored in KV cache \((\d+)\)", found.whole
    )
    if not length:
        return Told()
    return Told(f"Set max_model_len = {length} or less, or raise gpu_memory_utilization.")


def _held_advice(found: Found) -> Told:
    said = re.search(r"\(([\d.]+)/([\d.]+) GiB\)", found.whole)
    if said is None or not 0 < float(said[1]) <= float(said[2]):
        return Told()
    fits = int(float(said[1]) / float(said[2]) * 100) / 100
    return Told(
        "'vllmd gpu' names the holder: end it ('vllmd gpu reap' if it is an orphan of ours), "
        f"or set gpu_memory_utilization below {fits:.2f}: {said[1]} of {said[2]} GiB are free."
    )


def _ran_out_of_host(found: Found) -> Told:
    asked = number(r"you tried to allocate (\d+) bytes", found.whole)
    if asked is not None and found.phase not in (Phase.SERVING, Phase.DRAINING, Phase.UNKNOWN):
        return Told(
            "Lower swap_space, cpu_offload_gb or VLLM_CPU_KVCACHE_SPACE, or give the engine's unit "
            "more memory.",
            f"The host has no room for the {asked / 2**30:.1f} GiB that the engine asked for.",
            Kind.CONFIGURATION,
        )
    if not re.search(COMPILER_KILLED, found.whole):
        return Told()
    return Told(
        "Set MAX_JOBS=1 in the engine's env, so that less is compiled at once, or give it more "
        "memory; look at 'journalctl -k -g oom'.",
        "The host's memory ran out while code for the GPU was compiled, and the compiler was "
        "killed.",
    )


CAUSES = (
    Cause(
        name="vram_held",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation=(
            "Another process holds so much of the GPU's memory that the engine's share does not "
            "fit."
        ),
        advice=(
            "'vllmd gpu' names the holder: end it ('vllmd gpu reap' if it is an orphan of ours), "
            "or lower gpu_memory_utilization."
        ),
        names_holders=True,
        signs={
            r"Free memory on device .* is less than (?:desired|the engine's budget)": (
                "vllm/v1/worker/utils.py 0.12 to 0.32, v1/worker/gpu_worker.py since 0.8"
            ),
            r"Error in memory profiling\. (?:Initial|This happens when)": (
                "vllm/worker/worker.py and v1/worker/gpu_worker.py 0.4 to 0.30"
            ),
        },
        told=_held_advice,
    ),
    Cause(
        name="kv_cache_too_small",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation=(
            "The memory left beside the model is too small for even one request of full length "
            "(for its KV cache)."
        ),
        advice=(
            "Lower max_model_len (the evidence may name a length that fits) or raise "
            "gpu_memory_utilization."
        ),
        signs={
            r"To serve at least one request|the estimated maximum model length is": (
                "vllm/v1/core/kv_cache_utils.py since 0.8"
            ),
            r"No available memory for the cache blocks": (
                "vllm/v1/core/kv_cache_utils.py since 0.7, worker/worker.py 0.2 to 0.10"
            ),
            r"exceeds available Mamba cache blocks": "vllm/config/compilation.py since 0.12",
            r"larger than the maximum number of tokens that can be stored in KV cache": (
                "vllm/worker/worker.py 0.3 to 0.10"
            ),
        },
        told=_kv_advice,
    ),
    Cause(
        name="kv_cache_too_small",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="This host has less memory free than the engine on CPUs is to take.",
        advice=(
            "Lower gpu_memory_utilization, or VLLM_CPU_KVCACHE_SPACE in the engine's env, or free "
            "memory of this host."
        ),
        signs={
            r"less than (?:the )?desired CPU memory|less than requested memory for kv": (
                "vllm/v1/worker/cpu_worker.py since 0.10"
            )
        },
    ),
    Cause(
        name="cuda_out_of_memory",
        kind=Kind.TRANSIENT,
        rank=Rank.WORK,
        explanation="The GPU's memory ran out while the engine worked.",
        advice=(
            "If it comes again, lower gpu_memory_utilization or max_num_seqs; 'vllmd gpu' shows "
            "who else uses the GPU."
        ),
        names_holders=True,
        signs={
            **accelerators.OUT_OF_MEMORY,
            _NOT_COUNTED: "torch: c10/cuda/CUDACachingAllocator.cpp",
        },
        refines=frozenset({"nccl_failure"}),
        hint=r"out of memory",
        told=_ran_out,
    ),
    Cause(
        name="shm_too_small",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="Shared memory (/dev/shm) is too small for what vLLM's processes exchange.",
        advice=(
            "Give the container more (docker: --shm-size=8g or --ipc=host; Kubernetes: an emptyDir "
            "with medium: Memory on /dev/shm), or remove what fills /dev/shm."
        ),
        signs={
            r"/dev/shm.*No space left|No space left.*(?:/dev/shm|/psm_|/sem\.|torch_\d+_)": (
                "Python: multiprocessing/shared_memory.py; NCCL: src/misc/shmutils.cc"
            ),
            r"insufficient shared memory|unable to (?:allocate|resize|write"
            r"|mmap) .*shared memory": (
                "torch: torch/utils/data/_utils/signal_handling.py, aten/src/ATen/MapAllocator.cpp"
            ),
            r"Insufficient space in .* --ipc=host": (
                "vllm/distributed/device_communicators/shm_broadcast.py since 0.30"
            ),
            r"failed to extend /dev/shm|Error while creating shared memory segment": (
                "NCCL: src/misc/shmutils.cc"
            ),
        },
        refines=frozenset({"nccl_failure"}),
        hint=r"/dev/shm",
        frames=(
            Frame(
                r"multiprocessing/shared_memory\.py",
                r"Errno 28",
                "Python: multiprocessing/shared_memory.py",
            ),
        ),
    ),
    Cause(
        name="host_out_of_memory",
        kind=Kind.TRANSIENT,
        rank=Rank.BROAD,
        explanation="The host's memory (not the GPU's) ran out, and the kernel killed the engine.",
        advice=(
            "Look at 'journalctl -k -g oom'; give the engine's unit more memory, lower its swap or"
            " offload settings, or load fewer engines on this host."
        ),
        signs={
            r"DefaultCPUAllocator: (?:can't allocate|not enough) memory": "torch: c10/core/impl",
            r"\[Errno 12\]|Cannot allocate memory|std::bad_alloc": "the C library",
            r"^MemoryError:?\s*$|numpy.*ArrayMemoryError": "Python, numpy",
            r"OOMKilled|[Oo]ut of memory: Killed process|\boom-kill:|oom[-_]kill event": (
                "Kubernetes, the kernel, Slurm"
            ),
            COMPILER_KILLED: "gcc, of its own parts; Python: subprocess.py",
            r"ray\.exceptions\.OutOfMemoryError|due to the node running low on memory": "Ray",
        },
        marks=frozenset({"oom_kill"}),
        told=_ran_out_of_host,
    ),
    Cause(
        name="host_out_of_memory",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation="The node's memory ran out, and Kubernetes ended the pod (evicted it).",
        advice="Give the pod a request of memory that is as large as what the engine uses.",
        prior=True,
        said={r"low on resource: memory|MemoryPressure": "Kubernetes: kubelet"},
    ),
)
