"""The GPUs of a host, and which an engine would see, as CUDA reads CUDA_VISIBLE_DEVICES. Pure.

What stands behind a name that is nobody's is not seen either, and of instances (MIG) a process sees
one. Source: CUDA's programming guide, environment variables; NVIDIA's guide of MIG, device names.
"""

from collections.abc import Sequence

import attrs

from vllmd.doctor.compute import Capability


@attrs.frozen
class GpuFacts:
    """One GPU: its memory in bytes, and what it can compute."""

    total: int
    reserved: int
    free: int
    capability: Capability | None = None
    """Its compute capability; None if nobody knows."""
    unified: bool = False
    """It is the host's: what the GPU takes, programs and the page cache lack."""
    uuid: str = ""
    """Empty if nobody knows it."""
    parent: str = ""
    """Of an instance (MIG): the UUID of its GPU."""

    @property
    def cuda(self) -> int:
        """What CUDA, and so vLLM, calls all of it."""
        return self.total - self.reserved


@attrs.frozen
class SeenGpus:
    """The GPUs that it would see, in its order, and the first name that is no GPU here."""

    gpus: tuple[GpuFacts, ...]
    wrong: str | None = None
    why: str = ""


def seen_gpus(
    names: Sequence[str] | None, gpus: Sequence[GpuFacts], nodes: int | None = None
) -> SeenGpus:
    """Return what is seen of these GPUs; `names` as `visible_gpus` has them.

    `nodes` is how many GPUs have a device file here; None if that is not known.
    """
    whole = [gpu for gpu in gpus if not gpu.parent]
    if nodes:
        whole = whole[:nodes]
    if names is None:
        return SeenGpus(_one_instance([_or_instance(gpu, gpus) for gpu in whole] or gpus))
    found: list[GpuFacts] = []
    for place, name in enumerate(names):
        named = _named(name, whole, gpus)
        if len(named) != 1:
            many = f"it begins the UUIDs of {len(named)} GPUs" if named else ""
            return SeenGpus(_one_instance(found), name, many)
        if name in names[:place] or (named[0].uuid and named[0] in found):
            return SeenGpus((), name, "it is named twice")
        found.append(named[0])
    return SeenGpus(_one_instance(found))


def _named(name: str, whole: Sequence[GpuFacts], gpus: Sequence[GpuFacts]) -> Sequence[GpuFacts]:
    """Return the GPUs that a name may mean: by its place, or by how its UUID begins."""
    if name.isdecimal():
        return [_or_instance(gpu, gpus) for gpu in whole[int(name) :][:1]]
    if not name.startswith(("GPU-", "MIG-")):
        return ()
    if not all(gpu.uuid for gpu in gpus):
        return gpus[:1]  # nobody knows the UUIDs
    among = whole if name.startswith("GPU-") else [gpu for gpu in gpus if gpu.parent]
    return [_or_instance(gpu, gpus) for gpu in among if gpu.uuid.startswith(name)]


def _or_instance(gpu: GpuFacts, gpus: Sequence[GpuFacts]) -> GpuFacts:
    """Return the first instance of a GPU that is divided, and else itself."""
    return next((each for each in gpus if gpu.uuid and each.parent == gpu.uuid), gpu)


def _one_instance(found: Sequence[GpuFacts]) -> tuple[GpuFacts, ...]:
    """Return those that one process sees at a time: an instance is seen alone."""
    if found and found[0].parent:
        return (found[0],)
    return tuple(gpu for gpu in found if not gpu.parent)
