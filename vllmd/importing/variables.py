"""Which variables an engine gets, of those that were set for it. Pure."""

import re
from collections.abc import Collection, Mapping

from vllmd.importing.known_variables import is_of_vllm
from vllmd.importing.unknown import as_written, is_unknown, unknowns

OF_HF_TOKEN = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
"""By both the hub's library finds its token. Source: huggingface_hub/constants.py."""
OF_TOKEN_FILE = "HF_TOKEN_PATH"
"""A file with the token. Source: huggingface_hub/constants.py."""
_KNOWN = re.compile(
    r"(HF|HUGGING|HUGGINGFACE|CUDA|NCCL|PYTORCH|TORCH|TORCHINDUCTOR|TRANSFORMERS|TRITON|OMP|MKL"
    r"|KMP|TOKENIZERS|NVIDIA|NVTE|FLASHINFER|LMCACHE|RAY|GLOO|UCX|NIXL|HIP|ROCR|HSA|ROCM|AMD|TPU|PJRT"
    r"|XLA|AWS|S3|AZURE|GOOGLE|OTEL|PROMETHEUS|PYTHON|LD|XDG|SSL|REQUESTS|CURL|MODELSCOPE|DG|SAFETENSORS"
    r"|FLASH|SGL|TVM|NUMBA|OPENBLAS|MALLOC|DO|OUTLINES|XGRAMMAR|TILELANG|CUTE|ONEDNN|ZE|SYCL|CCL)_?\w*"
    r"|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|all_proxy|ALL_PROXY|TZ|LANG|LC_ALL|TMPDIR|HOME"
)
_LISTS = frozenset({"LD_LIBRARY_PATH", "PYTHONPATH", "LD_PRELOAD", "LIBRARY_PATH", "CPATH"})
_PATHS = frozenset({"PATH", "MANPATH", "INFOPATH", "PS1", "VIRTUAL_ENV", "CONDA_PREFIX", "HOME"})


def kept(
    given: Mapping[str, str], used: Collection[str] = (), *, known_only: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Return the variables that an engine gets, and what is said of the others.

    Those that the launcher's own words `used` are its parameters, unless vLLM or a library of its
    reads one of that name. `known_only` leaves out all that none of them reads.
    """
    variables: dict[str, str] = {}
    remarks = []
    parameters = []
    for name, value in given.items():
        if name in _PATHS:
            if name != "HOME":
                remarks.append(
                    f"left out: {name}={as_written(value)}: vllmd finds its programs by "
                    "'executable' and its own engines"
                )
        elif name in _LISTS and is_unknown(value):
            parts = [part for part in _apart(value) if part and not is_unknown(part)]
            remarks.append(
                f"{name}: {unknowns([value])[0].written} in it is of who ran it, and left out"
            )
            if parts:
                variables[name] = ":".join(parts)
        elif not _is_known(name) and (known_only or name in used):
            parameters.append(name)
        else:
            variables[name] = value
    if parameters and not known_only:
        remarks.append(
            f"left out: {', '.join(sorted(parameters))}: of the launcher's own words only; the "
            "values are in their place"
        )
    return variables, remarks


def home_of(variables: Mapping[str, str]) -> str | None:
    """Return the home among variables, if it is known."""
    home = variables.get("HOME", "")
    return home if home.startswith("/") and not is_unknown(home) else None


def _is_known(name: str) -> bool:
    """Tell whether vLLM or a library of its may read a variable."""
    return is_of_vllm(name) if name.startswith("VLLM_") else bool(_KNOWN.fullmatch(name))


def _apart(value: str) -> list[str]:
    """Return the parts of a list, whose marks may have colons."""
    return re.split(r":(?![^\ue000]*\ue002)", value)
