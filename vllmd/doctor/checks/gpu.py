"""The GPUs, their driver, and whether the engine fits on them."""

from collections.abc import Iterator, Mapping

from vllmd.doctor.capacity import longest
from vllmd.doctor.case import Case
from vllmd.doctor.checks.visible import GIVE_IT
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.gpu.fit import CONTEXT_BYTES, margin_bytes, needed_bytes, weights_bytes
from vllmd.gpu.host_memory import largest_share
from vllmd.installing.nvidia_driver import too_old
from vllmd.util.units import format_bytes

MOST_OF_A_GPU = 0.95
"""More than this share leaves nothing to the driver and to graphs."""


def driver(case: Case) -> Iterator[Finding]:
    """Find a build that the driver cannot run, and one for the CPU where there are GPUs."""
    installed, driver = case.installed, case.host.driver
    if installed is None:
        return
    if installed.cuda is None:
        if case.host.gpus:
            yield Finding(
                "driver",
                FindingSeverity.WARNING,
                f"vLLM {installed.version} is the build for the CPU, and there are GPUs",
                "They stay idle.",
                "Install the other: vllmd engine install --cuda",
            )
        return
    needed = None if driver is None else too_old(driver, installed.cuda)
    if needed is not None:
        yield Finding(
            "driver",
            FindingSeverity.ERROR,
            f"driver {driver}, and vLLM {installed.version} is built for CUDA {installed.cuda}",
            f"CUDA {installed.cuda} needs driver {needed} or newer: no GPU would be found.",
            "Update the driver, or install a vLLM for an older CUDA (--torch-backend).",
        )
    elif driver is None and not case.host.gpus:
        load = "Load the driver (nvidia-smi says what is wrong), or: vllmd engine install --cpu"
        yield Finding(
            "driver",
            FindingSeverity.ERROR,
            f"no NVIDIA driver is loaded, and vLLM {installed.version} is the build for CUDA",
            "It ends at its start: it finds no device.",
            GIVE_IT if case.host.in_container else load,
        )


def parallel_heads(case: Case) -> Iterator[Finding]:
    """Find a tensor parallel size that the model's heads cannot be divided by.

    Source: vllm/config/model.py, verify_with_parallel_config, 0.11 to 0.32.
    """
    size = case.flag("tensor-parallel-size")
    text = case.model.config.get("text_config") or case.model.config
    heads = text.get("num_attention_heads") if isinstance(text, Mapping) else None
    if not isinstance(size, int) or not isinstance(heads, int) or size < 1 or heads % size == 0:
        return
    fitting = [str(n) for n in range(1, heads + 1) if heads % n == 0 and n <= 2 * size]
    yield Finding(
        "parallel-heads",
        FindingSeverity.ERROR,
        f"tensor-parallel-size = {size}, and the model has {heads} attention heads",
        "vLLM refuses it 12 seconds into the start: each GPU gets the same number of heads.",
        f"Set flags.tensor-parallel-size to one of {', '.join(fitting)}.",
    )


def will_it_fit(case: Case) -> Iterator[Finding]:
    """Find an engine that would end its load with an error about memory."""
    yield from _room_for_kept_weights(case)
    capacity, model, gpu = case.capacity, case.model.architecture, case.gpu
    if capacity is None or model is None or gpu is None:
        return
    weights, budget = format_bytes(capacity.weights_bytes), format_bytes(capacity.budget_bytes)
    if case.model.is_estimate:
        weights += " (an estimate from config.json)"
    if not capacity.fits:
        yield Finding(
            "will-it-fit",
            FindingSeverity.ERROR,
            f"weights of {weights} do not fit: {case.share:g} of the GPU is {budget}, and "
            f"{format_bytes(capacity.working_bytes)} of it is for context and largest batch",
            "vLLM loads the weights, finds no room for a KV cache, and ends.",
            _more_room(case, capacity.weights_bytes + capacity.working_bytes, gpu.cuda),
        )
        return
    context = case.context
    if context is None:
        return
    needed = model.kv_bytes(context, element_bytes=case.demand.element_bytes, gpus=case.gpu_count)
    if needed <= capacity.kv_bytes:
        return
    most = longest(capacity.kv_bytes, case.demand, model, context)
    yield Finding(
        "will-it-fit",
        FindingSeverity.ERROR,
        f"one request of {context:,} tokens takes {format_bytes(needed)} of KV cache, and "
        f"{format_bytes(capacity.kv_bytes)} are left ({weights} of weights in {budget})",
        "vLLM ends after its load: it serves no context that a single request cannot have.",
        f"Set max_model_len = {most} or less; or "
        + _more_room(case, capacity.weights_bytes + capacity.working_bytes + needed, gpu.cuda),
    )


def _room_for_kept_weights(case: Case) -> Iterator[Finding]:
    """Find a share that leaves too little of an empty GPU for what keeps the weights beside it."""
    gpu = case.gpu
    if gpu is None or case.engine.is_stand_in or not case.engine.preload:
        return
    own = weights_bytes([], gpus=case.gpu_count)
    margin = margin_bytes(
        total=gpu.total, reserved=gpu.reserved, free=gpu.cuda, own=own, share=case.share
    )
    if margin >= 0:
        return
    possible = int(max(0.0, case.share + margin / gpu.cuda) * 100) / 100
    left = format_bytes(gpu.cuda * (1 - case.share))
    yield Finding(
        "will-it-fit",
        FindingSeverity.ERROR,
        f"preload = true, and gpu_memory_utilization {case.share:g} leaves {left} of the GPU: the "
        f"engine's CUDA context takes {format_bytes(CONTEXT_BYTES)} of that, and what keeps the "
        f"weights {format_bytes(-own)} beside them",
        "vLLM refuses to start: less memory is free than its share, without the weights.",
        f"Set gpu_memory_utilization = {possible:g}; or preload = false.",
    )


def _more_room(case: Case, needed: int, cuda: int) -> str:
    share = needed / cuda + 0.005
    if case.share < share <= MOST_OF_A_GPU:
        return f"set gpu_memory_utilization = {share:.2f}."
    return (
        "take a quantized model, an FP8 KV cache (flags.kv-cache-dtype), or more GPUs "
        f"(flags.tensor-parallel-size; now {case.gpu_count})."
    )


def gpu_share(case: Case) -> Iterator[Finding]:
    """Find what vLLM refuses at its start: "Free memory … is less than desired"."""
    gpu = case.gpu
    if gpu is None or case.engine.name in case.host.running or case.engine.is_stand_in:
        return
    own = weights_bytes([], gpus=case.gpu_count) if case.engine.preload else 0
    margin = margin_bytes(
        total=gpu.total, reserved=gpu.reserved, free=gpu.free, own=own, share=case.share
    )
    if margin >= 0:
        return
    possible = int(max(0.0, case.share + margin / gpu.cuda) * 100) / 100
    wanted = needed_bytes(gpu.total, gpu.reserved, case.share)
    asked = f"gpu_memory_utilization {case.share:g} asks for {format_bytes(wanted)}"
    if gpu.free >= wanted:
        context, left = format_bytes(CONTEXT_BYTES), format_bytes(gpu.free - CONTEXT_BYTES)
        yield Finding(
            "gpu-share",
            FindingSeverity.WARNING,
            f"{format_bytes(gpu.free)} of the GPU are free, {left} once CUDA's context has its "
            f"{context}, and {asked}",
            f"vLLM would refuse to start. The {context} are an estimate.",
            f"Set gpu_memory_utilization = {possible:g}.",
        )
        return
    who = (
        "The host's programs have the rest: the GPU shares its memory."
        if gpu.unified
        else "Other processes hold the rest."
    )
    yield Finding(
        "gpu-share",
        FindingSeverity.ERROR,
        f"{format_bytes(gpu.free)} of the GPU are free, and {asked}",
        f"vLLM refuses to start. {who}",
        f"'vllmd gpu' names who; or set gpu_memory_utilization = {possible:g}.",
    )


def unified_memory(case: Case) -> Iterator[Finding]:
    """Find an engine that leaves too little to a host whose memory its GPU shares."""
    gpu = case.gpu
    if gpu is None or not gpu.unified or case.engine.is_stand_in:
        return
    left, best = gpu.total * (1 - case.share), largest_share(gpu.total)
    if case.share <= best:
        return
    yield Finding(
        "unified-memory",
        FindingSeverity.WARNING,
        f"the GPU has no memory of its own, and gpu_memory_utilization {case.share:g} leaves "
        f"{format_bytes(left)} of the host's {format_bytes(gpu.total)} to everything else",
        "vLLM's own processes need some of that, and its files pass through the page cache. Such a "
        "host locks up before a process is killed.",
        f"Set gpu_memory_utilization = {best:g} or less.",
    )


def gpu_rows(case: Case) -> Iterator[Finding]:
    """Find figures that the daemon does not read any more, as NVML crashed or hung over them."""
    if not case.host.disabled_rows:
        return
    yield Finding(
        "gpu-rows",
        FindingSeverity.INFO,
        f"not read any more: {', '.join(case.host.disabled_rows)}",
        "Asking NVML for them ended or hung the process that reads GPUs. All else is read.",
        "A newer driver may fix it; 'systemctl restart vllmd-daemon' (engines serve on) tries "
        "them again.",
    )


def persistence_mode(case: Case) -> Iterator[Finding]:
    """Find GPUs whose state is torn down when the last process lets go of them."""
    if case.host.persistent is not False:
        return
    yield Finding(
        "persistence-mode",
        FindingSeverity.INFO,
        "persistence mode is off",
        "Each start initializes the GPUs again, which takes seconds, and settings such as power "
        "limits are lost.",
        "systemctl enable --now nvidia-persistenced (or: nvidia-smi -pm 1)",
    )
