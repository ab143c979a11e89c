"""Files, disks and limits of the host."""

import re

from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told


def _path(text: str) -> str | None:
    found = re.search(r"'(?:ipc://)?(/[^']+)'|\"(/[^\"]+)\"", text)
    return (found[1] or found[2]) if found else None


def _full(found: Found) -> Told:
    path = _path(found.whole)
    if path is None:
        return Told()
    return Told(f"Make room in the file system of {path} (df -h shows which), then 'vllmd start'.")


def _denied(found: Found) -> Told:
    path = _path(found.whole)
    if path is None:
        return Told()
    return Told(
        f"Let the engine's user read and write {path}, or set HF_HOME, VLLM_CACHE_ROOT and the "
        f"like "
        "in its env to a folder that it may write to."
    )


def _storage(found: Found) -> Told:
    if re.search(r"could not be acquired|filelock", found.whole):
        return Told(
            f"End the process that has the lock{_of(found)} ('fuser' names it), or wait for it; a "
            "lock that nobody has can be removed.",
            "Another process has a lock that the engine waits for, and did not give it up in time.",
        )
    if re.search(r"Errno 30|Read-only file system|os error 30", found.whole):
        return Told(
            f"Mount the file system{_of(found)} for writing, or set the folder to another one.",
            "The engine wants to write to a file system that is mounted for reading only.",
            Kind.CONFIGURATION,
        )
    return Told()


def _limit(found: Found) -> Told:
    if re.search(r"Errno 27\]|File (?:too large|size limit)", found.whole):
        return Told(
            f"Raise it (LimitFSIZE= of the unit; 'ulimit -f'), or take a file system{_of(found)} "
            "that has files as large as the model's.",
            "A file became larger than a limit of the host or of its file system allows.",
        )
    return Told()


def _environment(found: Found) -> Told:
    if "VLLM_PORT" in found.whole:
        return Told(
            "Kubernetes sets VLLM_PORT for a Service of the name vllm: set enableServiceLinks: "
            "false for the pod, or give the Service another name.",
            "VLLM_PORT is a URI in the engine's env, and has to be a number.",
        )
    if "codec" in found.whole:
        return Told(
            "Set LANG=C.UTF-8 (or PYTHONUTF8=1) in the engine's env.",
            "The engine's locale has only ASCII, and it reads or prints other characters.",
        )
    return Told()


def _kind_of_path(found: Found) -> Told:
    if re.search(r"Errno (?:20|21|36|40)\]|IsADirectory|NotADirectory", found.whole):
        return Told(
            explanation="A path that the engine was given leads to something else than a file: a "
            "folder, a part of a file's name, a link to itself."
        )
    return Told()


def _of(found: Found) -> str:
    path = _path(found.whole)
    return f" of {path}" if path else ""


_CACHES = (
    r"(?:/\.triton/|torchinductor_|/\.cache/flashinfer/|torch_compile_cache|torch_aot_compile"
    r"|[./]tmp\.pid_)"
)
"""Paths of what is compiled for the GPU: the engine's processes make and move them themselves."""


_CACHED_LIBRARY = (
    r"/(?:\.cache/flashinfer|flashinfer/[^ ]*cached_ops|torch_extensions|\.triton)/[^ :)]*\.so[:)]"
)
"""The loader says it of a library that was compiled here for another torch or host, or in part."""


def _cached(found: Found) -> Told:
    library = re.search(rf"(/\S*{_CACHED_LIBRARY[1:]})", found.whole)
    if library is None:
        return Told()
    folder = re.sub(r"/[^/]*\.so[:)]$", "", library[1])
    return Told(
        f"Remove {folder}: it is compiled anew at the next start.",
        "A library that was compiled for the GPU before does not load with this torch or host.",
        Kind.CONFIGURATION,
    )


CAUSES = (
    Cause(
        name="disk_full",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="A file system was full when the engine wanted to write.",
        after_serving="It fills while engines serve, and stays full until somebody makes room.",
        advice=(
            "Make room (df -h shows where; the model cache is the usual one), then 'vllmd start'."
        ),
        signs={
            r"No space left on device|\[Errno 28\]|os error 28": "the kernel",
            r"Not enough free disk space": "huggingface_hub/file_download.py",
            r"[Dd]isk quota exceeded|\[Errno 122\]": "the kernel",
        },
        unless=r"/dev/shm|/psm_|shared_memory",
        told=_full,
    ),
    Cause(
        name="permission_denied",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="The engine's user may not read or write a file or folder that it needs.",
        advice="Give that user the right, or set the folder to another one.",
        signs={
            r"\[Errno 13\]|PermissionError|os error 13": "the kernel",
            r"\[Errno 1\] Operation not permitted": "the kernel",
            r"not writable|is not writeable": "vllm, huggingface_hub",
            r"^RuntimeError: .*: Permission denied": "torch: aten/src/ATen/MapAllocator.cpp",
            r"ZMQError: Permission denied": "pyzmq: a socket below VLLM_RPC_BASE_PATH",
            r"cannot cache function .* no locator available": "numba/core/caching.py",
            r"^Unable to open /dev/\S+ .*: Permission denied": "ROCm: libhsakmt",
        },
        unless=r"^shim of engine",
        told=_denied,
    ),
    Cause(
        name="storage_failed",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation="The storage that the model or a cache is on failed.",
        after_serving="The kernel mounts a file system for reading only after errors of its disk.",
        advice=(
            "Look at 'journalctl -k' and at the mount (findmnt, the file server); then 'vllmd "
            "start'."
        ),
        signs={
            r"\[Errno 5\]|Input/output error|os error 5\)": "the kernel: EIO",
            r"\[Errno 30\]|Read-only file system|os error 30\)": "the kernel: EROFS",
            r"\[Errno 116\]|Stale file handle|os error 116\)": "the kernel: ESTALE (NFS)",
            r"\[Errno 16\] [^:]+: '/(?!dev/)": "the kernel: EBUSY, of a file on NFS",
            r"\[Errno (?:6|19|70|103|108|110|111|112|113"
            r"|121)\] [^:]+: '/": "the kernel, of a mount",
            r"Transport endpoint is not connected|\[Errno 107\]|Remote I/O error": "FUSE, NFS",
            r"\[Errno 37\]|No locks available|does not appear to support flock": (
                "the kernel: ENOLCK (NFS); filelock/_unix.py"
            ),
            r"file lock '[^']*' could not be acquired": "filelock/_error.py",
        },
        told=_storage,
    ),
    Cause(
        name="config_rejected",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        starting=True,
        explanation="The path of a socket that the engine makes is longer than the kernel allows.",
        advice=(
            "Set TMPDIR and VLLM_RPC_BASE_PATH in the engine's env to a short path, such as /tmp."
        ),
        signs={
            r"ipc path .* is longer than \d+|AF_UNIX path too long": "pyzmq; Python",
            r"VLLM_PORT .* appears to be a URI": "vllm/envs.py since 0.9",
            r"^Unicode(?:En|De)codeError: 'ascii' codec": "Python, with LANG=C",
        },
        told=_environment,
    ),
    Cause(
        name="numa_refused",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        starting=True,
        explanation="The engine's processes or their memory cannot be bound to a NUMA node here.",
        advice=(
            "Let it do so (docker: --cap-add SYS_NICE; the program numactl has to be there), or "
            "start it without: no numa-bind; on CPUs VLLM_CPU_OMP_THREADS_BIND=nobind."
        ),
        signs={
            r"^set(?:_mempolicy|ting membind): ": "numactl; vllm/utils/numa_utils.py since 0.19",
            r"numactl is required for NUMA binding": "vllm/utils/numa_utils.py since 0.19",
            r"enough allowed NUMA nodes to bind": (
                "vllm/utils/ompmultiprocessing.py, v1/worker/cpu_worker.py since 0.9"
            ),
            r"numa_migrate_pages failed": "csrc/cpu/utils.cpp 0.6 to 0.10",
        },
    ),
    Cause(
        name="user_unknown",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        explanation="The user that the engine runs as has no name: /etc/passwd has no such number.",
        advice=(
            "Set USER in the engine's env to any name, and HOME to a folder that it may write to."
        ),
        signs={
            r"getpwuid\(\): uid not found": "Python: pwd, of getpass.getuser up to 3.12",
            r"^OSError: No username set in the environment": "Python: getpass.py since 3.13",
            r"^RuntimeError: Could not determine home directory": "Python: pathlib",
        },
    ),
    Cause(
        name="limit_reached",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="A limit of the host or the container was reached: open files or processes.",
        advice=(
            "Raise it (LimitNOFILE= and TasksMax= of the unit; docker: --ulimit nofile and "
            "--pids-limit)."
        ),
        signs={
            r"\[Errno 24\]|Too many open files": "the kernel: EMFILE",
            r"\[Errno 27\]|File too large|File size limit exceeded": "the kernel: EFBIG",
            r"can't start new thread|Resource temporarily unavailable|pthread_create failed": (
                "Python; OpenBLAS"
            ),
        },
        unless=r"zmq\.error\.Again",
        told=_limit,
    ),
    Cause(
        name="limit_reached",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation=(
            "The engine had as many files and connections open as it may, and took no new one "
            "until it was ended."
        ),
        advice=(
            "Raise the limit (LimitNOFILE= of the unit; docker: --ulimit nofile), or look who "
            "opens so many connections ('ss -tnp')."
        ),
        refines=frozenset({"killed", "stalled"}),
        hint=r"socket\.accept\(\) out of system resource",
    ),
    Cause(
        name="compile_cache",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation="What was compiled for the GPU and left in a cache cannot be used.",
        advice=(
            "Start again; if it comes again, move the cache that the evidence names aside "
            "(torch_compile_cache in vLLM's cache, ~/.triton, /tmp/torchinductor_*)."
        ),
        signs={
            rf"No such file or directory: '[^']*{_CACHES}": (
                "Python, of a file that another process of the engine moved: triton/runtime/"
                "cache.py, torch/_inductor"
            ),
            r"torch_compile_cache.*(?:Error|corrupt"
            r"|No such file)": "vllm/compilation, a file under torch_compile_cache",
            r"(?:Error|No such file).*torch_compile_cache": "vllm/compilation, a file under "
            "torch_compile_cache",
            r"corrupted compilation artifact": "vllm/compilation/compiler_interface.py since 0.9",
            r"Bytes object is corrupted, checksum": "torch/utils/_appending_byte_serializer.py",
            r"hash of the compiled graph": "vllm/compilation/compiler_interface.py 0.8 to 0.9",
            _CACHED_LIBRARY: "the loader, of a library that was compiled here before",
            r"Failed to load .*compiled (?:graph"
            r"|artifact)": "vllm/compilation/backends.py 0.7 to 0.9",
        },
        unless=r"No space left|Permission denied|PermissionError|Errno 13|Errno 30|Errno 5\]",
        told=_cached,
        frames=(
            Frame(
                r"torch_compile_cache/|torch_aot_compile/|vllm/compilation/(?:caching|decorators)\.py"
                r":(?:deserialize|load|_?load_aot\w*)|torch/_inductor/(?:codecache|output_code"
                r"|standalone_compile)\.py|autograd_cache\.py|vllm/compilation/caching\.py",
                r"^(?:\S*\.)?(?:AssertionError|EOFError|UnpicklingError|KeyError|FileNotFoundError"
                r"|JSONDecodeError|ValueError: too many values|ValueError: not enough values"
                r"|AttributeError|ModuleNotFoundError"
                r"|RuntimeError: .*(?:cache|deserializ|corrupt|checksum))",
                "torch/_inductor and vllm/compilation, of what they had stored",
                raised=True,
            ),
        ),
    ),
    Cause(
        name="file_missing",
        kind=Kind.CONFIGURATION,
        rank=Rank.BROAD,
        explanation="A file that the engine needs is not there.",
        advice="Correct the path that the evidence names; it has to be readable for the "
        "engine's user.",
        starting=True,
        signs={
            r"FileNotFoundError: |\[Errno 2\] No such file": "Python",
            r"(?:IsA|NotA)DirectoryError|\[Errno (?:20|21|36|40)\]": (
                "the kernel: ENOTDIR, EISDIR, ENAMETOOLONG, ELOOP"
            ),
        },
        told=_kind_of_path,
        unless=rf"{_CACHES}|\.incomplete\b|/\.locks/|/psm_|\bmodel\.safetensors",
    ),
    Cause(
        name="disk_full",
        kind=Kind.CONFIGURATION,
        rank=Rank.END,
        explanation="The node's disk ran full, and Kubernetes ended the pod (evicted it).",
        after_serving="It fills while engines serve, and stays full until somebody makes room.",
        advice="Make room on the node, or give the pod a volume or a limit of ephemeral-storage.",
        prior=True,
        said={r"low on resource: ephemeral-storage|DiskPressure": "Kubernetes: kubelet"},
    ),
)
