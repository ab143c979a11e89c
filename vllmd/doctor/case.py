"""What checks look at: an engine's configuration, its model's files, the host it is to run on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.config.gpus import PARALLEL_FLAGS, visible_gpus
from vllmd.config.memory import share_of
from vllmd.config.model import Config, EngineConfig
from vllmd.doctor.architecture import Architecture, read
from vllmd.doctor.capacity import Capacity, Demand, predict
from vllmd.doctor.compute import Capability
from vllmd.doctor.config_weights import tensors_of
from vllmd.doctor.finding import Finding
from vllmd.doctor.group import GroupFacts
from vllmd.doctor.seen import GpuFacts, SeenGpus, seen_gpus
from vllmd.doctor.weights import adapter_bytes, loaded_bytes
from vllmd.engine.model_files.base_model import find_folder, weight_files
from vllmd.engine.model_files.safetensors import Tensor, TensorFileError, read_header
from vllmd.installing.flags import FlagTable
from vllmd.installing.layout import InstallRecord
from vllmd.shim.files import read_json
from vllmd.util.units import GIB

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen
class Model:
    """A base model's files."""

    folder: Path | None = None
    """None: it is not on this host."""
    config: Mapping[str, Any] = _EMPTY
    tensors: Mapping[str, Tensor] = _EMPTY
    problems: tuple[str, ...] = ()
    """Files that are missing, or not whole."""
    whole: bool = True
    """Whether `tensors` are all of them."""

    @cached_property
    def weights(self) -> Mapping[str, Tensor]:
        """Its tensors; as config.json lets them be expected where no file has all of them.

        Returns: nothing, where there are none and its architecture is not known.
        """
        if self.tensors and self.whole:
            return self.tensors
        return tensors_of(self.config) or self.tensors

    @property
    def is_estimate(self) -> bool:
        """Whether its sizes are those that config.json lets expect."""
        return bool(self.weights) and self.weights is not self.tensors

    @property
    def architecture(self) -> Architecture | None:
        """Its sizes; None if config.json does not say them."""
        return read(self.config)

    @property
    def parameters(self) -> int:
        """How many numbers its weights are; packed ones count as they are stored."""
        total = 0
        for tensor in self.weights.values():
            count = 1
            for size in tensor.shape:
                count *= size
            total += count
        return total

    def has(self, name: str) -> bool:
        """Tell whether a file is there."""
        return self.folder is not None and (self.folder / name).exists()


def read_model(name: str, env: Mapping[str, str]) -> Model:
    """Read what is needed of a model: its config.json, and the heads of its weights."""
    folder = find_folder(name, env)
    if folder is None:
        return Model()
    problems: list[str] = []
    config: Mapping[str, Any] = _EMPTY
    try:
        config = read_json(folder / "config.json")
    except FileNotFoundError:
        problems.append(f"{folder} has no config.json")
    except (OSError, ValueError) as error:
        problems.append(f"{folder}/config.json cannot be read: {error}")
    tensors: dict[str, Tensor] = {}
    try:
        files = weight_files(folder)
    except (OSError, ValueError) as error:
        files = []
        problems.append(f"the index of {folder} cannot be read: {error}")
    whole = bool(files)
    for path in files:
        try:
            tensors |= read_header(path)
            continue
        except FileNotFoundError:
            problems.append(f"{path.name} is missing in {folder}")
        except (OSError, TensorFileError) as error:
            problems.append(str(error))
        whole = False
    return Model(folder, config, tensors, tuple(problems), whole)


@attrs.frozen
class Disk:
    """The file system that a folder is on."""

    purpose: str
    """What is written there, in words."""
    folder: str
    free: int
    size: int | None = None
    enough: bool | None = None
    """Whether an engine could write what it needs there, as a hold for a full disk asks too."""
    free_files: int | None = None
    """None where the file system counts none."""


@attrs.frozen
class Leftover:
    """Something that an earlier run left, and nothing will read again."""

    what: str
    where: str
    size: int


@attrs.frozen
class HostFacts:
    """The machine, as far as checks ask; None is what could not be found out."""

    gpus: tuple[GpuFacts, ...] | None = None
    shared_memory_bytes: int | None = None
    open_files: int | None = None
    running: frozenset[str] = frozenset()
    """Engines that the daemon runs now."""
    in_use: Mapping[tuple[str, int], str] = attrs.field(factory=dict)
    """Addresses of engines at which somebody else answers, and who; empty where nobody can see."""
    driver: str | None = None
    """The version of the NVIDIA driver that is loaded."""
    disabled_rows: tuple[str, ...] = ()
    """Figures of GPUs that the daemon does not read any more, for a person."""
    persistent: bool | None = None
    """Whether all GPUs are in persistence mode."""
    closed_devices: tuple[str, ...] = ()
    """Nodes of the driver that the engine's user may not open, or that are missing."""
    unread_gpus: bool = False
    """Whether there are GPUs beside `gpus` whose memory could not be read, or not yet."""
    gpu_nodes: int | None = None
    """How many GPUs have a device file here; None where that is not known."""
    in_container: bool = False
    locked_memory_bytes: int | None = None
    """How much an engine may lock; None: no limit, or not known."""
    memory_bytes: int | None = None
    """What an engine may use of the host's memory: all there is, or its control group's limit."""
    memory_limited: bool = False
    """Whether that is a limit, and not the host's memory."""
    cpus: float | None = None
    """How many processors an engine may use: those that it may run on, or its group's quota."""
    cpus_limited: bool = False
    """Whether that is a quota."""
    disks: tuple[Disk, ...] = ()
    synchronized: bool | None = None
    """Whether something keeps the clock right."""
    stop_s: float | None = None
    """How long systemd lets an engine's unit stop; None: there is no such unit here."""
    readable_secrets: tuple[str, ...] = ()
    """Files with secrets that every user of the host may read."""
    writable_folders: tuple[str, ...] = ()
    """Folders of vllmd that every user of the host may write to."""
    leftovers: tuple[Leftover, ...] = ()


@attrs.frozen
class Case:
    """One engine, and all that is known of it."""

    config: Config
    engine: EngineConfig
    env: Mapping[str, str]
    model: Model
    host: HostFacts
    hub: str | None = None
    """Why the model cannot be had from the hub; None: it can, it need not, or nobody asked."""
    unreadable: str | None = None
    """A part of the model's folder that the engine's user may not read."""
    found: bool = True
    """Whether its program can be run."""
    installed: InstallRecord | None = None
    """What is known of the vLLM that would serve."""
    flag_table: FlagTable | None = None
    """The flags that it takes."""
    group: GroupFacts | None = None
    """The other hosts of its group; None if it is of one host."""

    def flag(self, name: str) -> Any:
        """Return a flag of the table `flags`, whichever way it is written."""
        flags = self.engine.flags
        return flags.get(name, flags.get(name.replace("-", "_")))

    @property
    def gpu_count(self) -> int:
        """Over how many GPUs the weights are divided."""
        count = 1
        for name in PARALLEL_FLAGS[:2]:
            size = self.flag(name)
            count *= size if isinstance(size, int) and size > 0 else 1
        return count

    @property
    def on_cpu(self) -> bool:
        """Whether it would compute on the CPU: by its build, else for want of a GPU."""
        if self.installed is not None:
            return self.installed.cuda is None
        return self.host.gpus == ()

    @property
    def to_be_downloaded(self) -> bool:
        """Whether its first start has to download the model."""
        named = not self.engine.model.startswith(("/", "./", "~"))
        return self.model.folder is None and named and not self.engine.is_stand_in

    @property
    def share(self) -> float:
        """The share of each GPU that it takes."""
        return share_of(self.engine)

    @property
    def gpu(self) -> GpuFacts | None:
        """The smallest GPU that it would use."""
        return min(self._gpus, key=lambda gpu: gpu.cuda, default=None)

    @property
    def capability(self) -> Capability | None:
        """The least compute capability of those GPUs; None if one is not known."""
        known = [gpu.capability for gpu in self._gpus if gpu.capability is not None]
        return min(known) if known and len(known) == len(self._gpus) else None

    @property
    def _gpus(self) -> Sequence[GpuFacts]:
        """The GPUs that it would use."""
        return (self.seen.gpus or self.host.gpus or ())[: self.gpu_count]

    @cached_property
    def seen(self) -> SeenGpus:
        """The GPUs that it would see; none where there are none, or nobody can say."""
        host = self.host
        return seen_gpus(visible_gpus(self.env), host.gpus or (), host.gpu_nodes)

    @cached_property
    def demand(self) -> Demand:
        """What it asks of its GPUs."""
        engine, model = self.engine, self.model
        weights = loaded_bytes(
            model.weights,
            model.config,
            quantization=engine.quantization,
            dtype=str(self.flag("dtype") or "auto"),
        )
        if engine.lora is not None:
            lora = engine.lora
            rank, slots = lora.max_lora_rank, lora.max_loras
            weights += adapter_bytes(model.weights, rank=rank, slots=slots)
        kind = str(self.flag("kv-cache-dtype") or "auto")
        wide = kind == "auto" and self.flag("dtype") == "float32"
        element = 1 if kind.startswith("fp8") else 4 if wide else 2
        batched = self.flag("max-num-batched-tokens")
        return Demand(
            self.share,
            weights,
            self.gpu_count,
            element,
            batched if isinstance(batched, int) else None,
            engine.max_num_seqs,
        )

    @property
    def cpu_cache_bytes(self) -> int:
        """What a vLLM for the CPU sets aside for its KV cache; 0 where it takes what is free.

        Source: VLLM_CPU_KVCACHE_SPACE in vllm/envs.py, in GiB.
        """
        said = self.env.get("VLLM_CPU_KVCACHE_SPACE", "")
        return int(said) * GIB if said.isdigit() else 0

    @cached_property
    def capacity(self) -> Capacity | None:
        """What would be left for the KV cache; None if too little is known."""
        architecture, gpu = self.model.architecture, self.gpu
        if architecture is None or gpu is None or not self.model.weights:
            return None
        return predict(gpu.cuda, self.demand, architecture)

    @property
    def context(self) -> int | None:
        """How many tokens a request may have: as configured, or as the model was made for."""
        asked = self.engine.max_model_len
        if isinstance(asked, int):
            return asked
        architecture = self.model.architecture
        return architecture.longest if architecture and asked is None else None

    @property
    def reachable(self) -> bool:
        """Whether its API listens beyond this host."""
        return self.engine.host not in ("127.0.0.1", "localhost", "::1")


Check = Callable[[Case], Iterator[Finding]]
