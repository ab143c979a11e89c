"""What the class of an exception tells that an operating system, a network or a GPU's library made.

Whoever raised it, and whatever it says besides: a number of an error means the same everywhere.
"""

from vllmd.engine.causes.base import Cause, Frame, Kind, Rank

_ANYWHERE = r"."


def _number(*numbers: int) -> str:
    """Return a pattern of an error that names one of these numbers, as Python, Rust and C do."""
    either = "|".join(map(str, numbers))
    return rf"(?:\[Errno (?:{either})\]|os error (?:{either})\)|errno[:=] ?(?:{either})\b)"


CAUSES = (
    Cause(
        name="limit_reached",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        explanation="A limit of the host or the container was reached: files, or a command's size.",
        advice="Raise what the evidence names (LimitNOFILE= of the unit, fs.file-max).",
        signs={_number(23, 7): "the kernel: ENFILE, E2BIG"},
    ),
    Cause(
        name="storage_failed",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        explanation="The file system that a model or a cache is on did not do what it was asked.",
        advice="Look at 'journalctl -k' and at the mount (findmnt, the file server).",
        signs={
            _number(61, 71, 74, 84, 117, 123): "the kernel: EBADMSG, EUCLEAN and others, of a disk",
            rf"{_number(4, 17, 22, 26, 38, 39, 95)}.*'/": "the kernel, of what a path is on",
        },
    ),
    Cause(
        name="cpu_unsupported",
        kind=Kind.CONFIGURATION,
        rank=Rank.CLASS,
        explanation="A program that the engine starts was built for another kind of processor.",
        advice="Take the image or the packages for this host's architecture ('uname -m').",
        signs={_number(8): "the kernel: ENOEXEC"},
    ),
    Cause(
        name="dist_unreachable",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        weak=True,
        explanation="An address that the engine was given cannot be reached.",
        advice="Look at the address that the evidence names, at the route to it and the firewall.",
        signs={
            rf"{_number(99, 100, 101, 110, 111, 112, 113)}(?!.*'/)": "the kernel, of a socket",
            r"\[Errno -[235]\]|[Nn]ame or service not known|nodename nor servname": (
                "the C library: getaddrinfo"
            ),
            r"^zmq\.error\.ZMQError|^grpc\.\S*Error": "pyzmq; grpc",
        },
    ),
    Cause(
        name="nccl_failure",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        explanation="The GPUs of the engine could not talk to each other.",
        advice="Run the engine with NCCL_DEBUG=INFO in its env: NCCL says then what failed.",
        signs={
            r"^torch\.distributed\.DistBackendError\b": "torch: ProcessGroupNCCL.cpp",
            r"\bnccl[A-Z]\w+ failed|\b(?:NCCL|RCCL)\b.*\b(?:failed|error)\b": "torch; vllm",
        },
    ),
    Cause(
        name="cuda_error",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        explanation="A call of the GPU's driver or libraries failed.",
        advice="If it comes again, look at 'vllmd gpu' for an Xid, and run it with "
        "CUDA_LAUNCH_BLOCKING=1.",
        signs={
            r"^torch\.AcceleratorError\b": "torch: c10/cuda/CUDAException.cpp",
            r"\b(?:cu|cuda|hip|cublas|cudnn|cusparse|cufft|nvml)[A-Z]\w+\b.*\b(?:failed|error)\b": (
                "CUDA's and ROCm's calls, named by who made them"
            ),
        },
    ),
    Cause(
        name="ray_resources",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        weak=True,
        starting=True,
        explanation="Ray, over which the engine's processes are spread, failed.",
        advice="Look at 'ray status', and at /tmp/ray/session_latest/logs on the host.",
        signs={r"^ray\.\S*(?:Error|Exception)\b": "ray/exceptions.py"},
    ),
    Cause(
        name="hub_unreachable",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        weak=True,
        starting=True,
        explanation="A request to the model hub, or to another server, failed.",
        advice="Another start tries again. If it stays: look at the network, a proxy, HF_ENDPOINT.",
        signs={
            r"^(?:httpx|requests|urllib3|aiohttp|httpcore|huggingface_hub|hf_xet|modelscope)\.\S*"
            r"(?:Error|Exception|Timeout)\b": "requests, httpx and their like; huggingface_hub",
        },
    ),
    Cause(
        name="worker_timeout",
        kind=Kind.TRANSIENT,
        rank=Rank.CLASS,
        weak=True,
        explanation="A part of the engine did not answer another one in time.",
        advice="Look at what the others did then: a slow disk, a GPU that hangs, a full host.",
        frames=(
            Frame(
                _ANYWHERE,
                r"^(?:\S*\.)?(?:TimeoutError|TimeoutExpired)\b",
                "Python: asyncio, concurrent.futures, subprocess",
            ),
        ),
    ),
)
