"""Whether words start a server of vLLM, and what stands for the program. Pure."""

import re
from collections.abc import Sequence

import attrs

from vllmd.importing.unknown import is_unknown

MODULES = frozenset({"vllm.entrypoints.openai.api_server", "vllm.entrypoints.cli.main"})
MODULE = "vllm.entrypoints.cli.main"
OF_PATH = (
    "which vllm it is the PATH of who ran it said; here it is the one of 'vllmd engine': "
    "'vllmd engine adopt FOLDER' takes the environment that it was in"
)
_SERVER = re.compile(r"vllm[./]entrypoints[./](openai|cli|grpc)|vllm[./]entrypoints[./]api_server")
_PYTHON = re.compile(r"python(\d(\.\d+)?)?")
_PYTHON_TAKES = frozenset({"-W", "-X", "-Q"})
_IMAGE = re.compile(r"(^|/)vllm-openai(:|@|$|-)")


@attrs.frozen
class Serving:
    """A command that serves."""

    program: tuple[str, ...]
    arguments: tuple[str, ...]
    by_path: bool
    """Its program is found by PATH."""


def serving(words: Sequence[str], prefix: str = "") -> Serving | None:
    """Return the server that words start; None if they start none.

    `prefix` is the folder of programs of an environment that was activated.
    """
    if not words:
        return None
    program = words[0]
    name = program.rsplit("/", 1)[-1]
    by_path = "/" not in program and not prefix
    if prefix and "/" not in program:
        program = f"{prefix}/{program}"
    if name == "vllm" and words[1:2] == ["serve"]:
        return Serving((program,), tuple(words[2:]), by_path)
    if not _PYTHON.fullmatch(name):
        return None
    rest = list(words[1:])
    while rest and rest[0].startswith("-") and rest[0] != "-m":
        taken = rest.pop(0)
        if taken in _PYTHON_TAKES and rest:
            rest.pop(0)
    module = rest[1] if rest[:1] == ["-m"] and len(rest) > 1 else ""
    if module in MODULES:
        rest = rest[2:]
    elif rest and re.search(r"vllm/entrypoints/openai/api_server\.py$", rest[0]):
        rest = rest[1:]
    elif len(rest) > 1 and re.search(r"(^|/)vllm$", rest[0]) and rest[1] == "serve":
        if "/" in rest[0]:  # as its first line says
            return Serving((rest[0],), tuple(rest[2:]), by_path=False)
        rest = rest[1:]
    else:
        return None
    command = ("vllm",) if by_path else (program, "-m", MODULE)
    return Serving(command, tuple(rest[1:] if rest[:1] == ["serve"] else rest), by_path)


def speaks_of_serving(words: Sequence[str]) -> bool:
    """Tell whether words name a server of vLLM, whatever they do with it."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    return any(
        (re.search(r"(^|/)vllm$", one) and other == "serve")
        or re.search(r"\bvllm serve\b", one)
        or _SERVER.search(one)
        or _IMAGE.search(one)
        for one, other in pairs
        if not is_unknown(one)
    )


_INSTALLERS = frozenset({"apt", "apt-get", "apk", "conda", "dnf", "mamba", "pip", "pip3", "yum"})


def installs(words: Sequence[str]) -> bool:
    """Tell whether words put programs or libraries onto a host, or into an environment."""
    name = words[0].rsplit("/", 1)[-1]
    rest = list(words[1:])
    if name == "uv":
        return rest[:1] in (["sync"], ["add"]) or rest[:2] == ["pip", "install"]
    if _PYTHON.fullmatch(name) and rest[:2] == ["-m", "pip"]:
        name, rest = "pip", rest[2:]
    return name in _INSTALLERS and bool({"install", "add"} & set(rest[:4]))
