"""What an image of vLLM is: its version, and what it starts. Pure."""

import re

_TAG = re.compile(r":v?(\d+\.\d+(?:\.\d+)?(?:rc\d+|\.post\d+)?)(?:[-+_]\S*)?$")
_OWN = re.compile(r"(^|/)(?<!lmcache/)vllm-(openai|cpu|xpu|tpu)[-\w]*(?=[:@]|$)")
"""Vendors' images have numbers of their own: of NVIDIA, Red Hat, Intel, LMCache."""
_SERVERS = re.compile(
    r"(^|/)(vllm-openai(-rocm|-cpu|-xpu|-aarch64|-gh200)?|vllm-cpu-(release-repo|env))(?=[:@]|$)"
)


def version_of(image: str) -> str | None:
    """Return the version of vLLM that an image's tag names; None if it names none.

    Only of vLLM's own images: the tags of others are theirs.
    """
    name = image.partition("@")[0]
    if not _OWN.search(name):
        return None
    found = _TAG.search(name)
    if found is None:
        return None
    version = found[1]
    return version if version.count(".") > 1 else f"{version}.0"


def serves(image: str) -> bool:
    """Tell whether an image's entrypoint is vLLM's server.

    Source: vLLM's Dockerfile: ENTRYPOINT ["vllm", "serve"], and the module before 0.11.
    """
    return bool(_SERVERS.search(image))
