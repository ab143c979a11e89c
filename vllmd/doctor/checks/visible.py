"""Which GPUs the engine can reach: those that a container was given, and that it names."""

from collections.abc import Iterator

from vllmd.config.gpus import gpus_used, visible_gpus
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity

WARNING = FindingSeverity.WARNING
GIVEN = "NVIDIA_VISIBLE_DEVICES"
"""What NVIDIA's container toolkit gives a container, of the host's GPUs. vLLM does not read it."""
OF_TOOLKIT = ("all", "none", "void")
GIVE_IT = (
    "Give the container its GPUs: docker run --gpus all, podman run --device nvidia.com/gpu=all, "
    "on Kubernetes a limit of nvidia.com/gpu."
)


def devices(case: Case) -> Iterator[Finding]:
    """Find nodes that are missing or closed although a driver is loaded."""
    host = case.host
    if case.on_cpu:
        return
    if host.closed_devices:
        kept_out = _kept_out(case)
        made = (
            "As root: nvidia-modprobe -c 0 -u (once for each boot); and mode 0666, as the driver "
            "makes them."
        )
        yield Finding(
            "devices",
            FindingSeverity.ERROR,
            f"driver {host.driver} is loaded, but: {', '.join(host.closed_devices)}{kept_out}",
            "CUDA says that there is no device."
            if host.in_container
            else "CUDA says that there is no device. The nodes are made by nvidia-modprobe, which "
            "a confined service may not run.",
            GIVE_IT if host.in_container else made,
        )
    whole = _whole(case)
    if host.gpu_nodes and host.gpu_nodes < whole:
        yield Finding(
            "devices",
            FindingSeverity.ERROR if gpus_used(case.engine) > host.gpu_nodes else WARNING,
            f"{whole} GPUs are listed, and /dev has a node for {host.gpu_nodes}",
            "CUDA sees those that have one, and counts them from 0.",
            GIVE_IT if host.in_container else "As root, for each GPU: nvidia-modprobe -c NUMBER",
        )


def _whole(case: Case) -> int:
    """Return how many GPUs are listed, without instances (MIG)."""
    return sum(not gpu.parent for gpu in case.host.gpus or ())


def _kept_out(case: Case) -> str:
    """Say which setting of the container keeps all GPUs out of it, if one does."""
    given = case.env.get(GIVEN)
    return f" ({GIVEN} = {given!r})" if given in ("none", "void", "") else ""


def visible_devices(case: Case) -> Iterator[Finding]:
    """Find names of GPUs that are not there, or that are no names to CUDA."""
    if GIVEN in case.engine.env and "CUDA_VISIBLE_DEVICES" not in case.env:
        yield Finding(
            "visible-devices",
            WARNING,
            f"{GIVEN} = {case.engine.env[GIVEN]!r} stands among the engine's variables",
            "It is read where a container is made. vLLM does not read it, and sees all GPUs.",
            "Set env.CUDA_VISIBLE_DEVICES.",
        )
    names, gpus, seen = visible_gpus(case.env), case.host.gpus, case.seen
    if names is None or not gpus or (names and seen.wrong is None):
        return
    more = (case.host.gpu_nodes or 0) > _whole(case)
    if more or case.host.unread_gpus:
        return  # it may be one of those
    yield Finding(
        "visible-devices",
        FindingSeverity.ERROR,
        f"CUDA_VISIBLE_DEVICES = {','.join(names)!r} {_which(case)}",
        f"CUDA lets it see {len(seen.gpus)}: what stands before that name, and nothing behind it."
        if seen.gpus
        else "CUDA lets it see none, and vLLM ends at its start.",
        _instead(case),
    )


def _which(case: Case) -> str:
    wrong, why = case.seen.wrong, case.seen.why
    if wrong is None:
        return "names no GPU"
    if wrong.lower() in OF_TOOLKIT:
        return f"names {wrong!r}, which is a word of {GIVEN} and no GPU"
    if why:
        return f"names {wrong!r}: {why}"
    there = _whole(case)
    if case.host.gpu_nodes:
        there = min(there, case.host.gpu_nodes)
    count = "1 GPU is here" if there == 1 else f"{there} GPUs are here"
    return f"names {wrong!r}, and {count}{_given(case)}"


def _given(case: Case) -> str:
    """Say whose numbers are whose, where a container was given some of the host's GPUs."""
    given = case.env.get(GIVEN)
    if given and given not in OF_TOOLKIT:
        return f" (the container was given the host's {given}; in it they count from 0)"
    return ""


def _instead(case: Case) -> str:
    if case.seen.why:
        return "Name each GPU once: 'vllmd gpu' shows them."
    more = " Or give the container more of them." if case.host.in_container else ""
    return f"Name GPUs that are here: 'vllmd gpu' shows them.{more}"


def gpu_count(case: Case) -> Iterator[Finding]:
    """Find parallel sizes that add up to more than there is."""
    if not case.host.gpus or case.seen.wrong is not None:
        return
    chosen = visible_gpus(case.env)
    there, wanted = len(case.seen.gpus), gpus_used(case.engine)
    if wanted > there and chosen != ():
        limited = "" if chosen is None else f" (CUDA_VISIBLE_DEVICES = {','.join(chosen)})"
        if any(gpu.parent for gpu in case.seen.gpus):
            limited += ": of instances (MIG) a process sees one"
        yield Finding(
            "gpu-count",
            FindingSeverity.ERROR,
            f"{wanted} GPUs are asked for (tensor, pipeline and data parallel), and {there} can be "
            f"seen{limited}",
            "vLLM ends before it loads, or waits for workers that never come.",
            "Lower flags.tensor-parallel-size, or let it see more.",
        )
