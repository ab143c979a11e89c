"""What an engine's answers depend on: another model, or only another way to add numbers. Pure.

With another **model** in its command (a name, a revision, a quantization, other prompts) other
answers are right: they are recorded anew, and how far they are from the old ones is told.

With other **numerics** (a version of vLLM, its flags, another kind of GPU) the answers must be
nearly the same: they are compared with the old ones, with a wider tolerance, and a reference is
never replaced by answers that are too far from it. So it is with other **files** of the same name:
a checkpoint that somebody trained on, or one that is broken. Who knows says so (`vllmd probe
--record`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from vllmd.config.model import EngineConfig
from vllmd.config.preload import NO_EFFECT, own_environment
from vllmd.probe.prompts import VERSION

_OF_MODEL = frozenset(
    {
        *("revision", "tokenizer", "tokenizer-revision", "tokenizer-mode", "code-revision"),
        *("hf-overrides", "hf-config-path", "config-format", "load-format", "model-impl"),
        *("rope-scaling", "rope-theta", "skip-tokenizer-init", "quantization-param-path"),
    }
)
"""Flags by which another model answers."""
_NEITHER = frozenset(
    {
        *("gpu-memory-utilization", "max-num-batched-tokens", "port", "host", "seed"),
        *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"),
    }
)
"""Flags and variables without an effect: which GPU of a kind it is must make no difference."""

_TOLD = ("vllm", "gpus")
"""Of numerics, what others have to tell: it may not be known yet."""

Parts = Mapping[str, str]


@attrs.frozen
class AnswersIdentity:
    """What the answers are of."""

    model: Parts
    numerics: Parts
    files: str | None = None
    """What the files of its model are told by; None where nobody knows."""

    def changed(self, before: "AnswersIdentity") -> list[str]:
        """Return the names of all that is another than before."""
        return [
            *_other(self.model, before.model),
            *_other(self.numerics, before.numerics),
            *(["files"] if self.files != before.files else []),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {"model": dict(self.model), "numerics": dict(self.numerics), "files": self.files}


def from_json(record: Mapping[str, Any]) -> AnswersIdentity:
    """Read what `to_json` wrote. Raises: KeyError, AttributeError: it is something else."""
    return AnswersIdentity(
        {str(name): str(value) for name, value in record["model"].items()},
        {
            str(name): str(value)
            for name, value in record["numerics"].items()
            if name not in _NEITHER
        },
        None if (files := record["files"]) is None else str(files),
    )


def _other(now: Parts, before: Parts) -> list[str]:
    return sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))


def identity_of(
    engine: EngineConfig, version: str | None, gpus: Sequence[str], files: str | None
) -> AnswersIdentity:
    """Return what an engine's answers are of.

    `version` is that of its vLLM, `gpus` are the names of its GPUs, `files` is what the files of
    its model are told by; None where nobody knows: then it is what it was.
    """
    model = {"model": engine.model, "prompts": str(VERSION)}
    model |= {} if engine.quantization is None else {"quantization": engine.quantization}
    numerics = {} if version is None else {"vllm": version}
    numerics |= {"gpus": ", ".join(sorted(set(gpus)))} if gpus else {}
    for flag, value in engine.flags.items():
        if flag not in NO_EFFECT | _NEITHER:
            (model if flag in _OF_MODEL else numerics)[flag] = str(value)
    if engine.lora is not None:
        numerics["lora"] = f"{engine.lora.max_loras} of rank {engine.lora.max_lora_rank}"
    if engine.preload:
        numerics["preload"] = "true"
    for name, value in own_environment(engine.env).items():
        if name not in _NEITHER:  # a value may be a secret
            numerics[name] = hashlib.sha256(value.encode()).hexdigest()[:12]
    return AnswersIdentity(model, numerics, files)


def carried(now: AnswersIdentity, before: AnswersIdentity) -> AnswersIdentity:
    """Return it with what is not known now as it was before."""
    known = {name: before.numerics[name] for name in _TOLD if name in before.numerics}
    files = before.files if now.files is None else now.files
    return AnswersIdentity(now.model, {**known, **now.numerics}, files)
