"""The command that a script or a unit runs, and the variables around it. Pure: nothing is run.

A shell's language is not interpreted: assignments, `export` and `$NAME` are followed, as the
classic launch script has them; whatever else stands in for a value is left as it is written.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import attrs

from vllmd.errors import VllmdError

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)=(.*)", re.DOTALL)
_NAME = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_ENVIRONMENT = re.compile(r"(?m)^\s*Environment=(.*)$")
_ENVIRONMENT_FILE = re.compile(r"(?m)^\s*EnvironmentFile=-?(.*)$")
_SHELL = re.compile(r"[$`]|^(?:[A-Z_]+=)?~(?:/|$)")
_ALL_ARGUMENTS = ("$@", "$*", "${@}", "${*}")
_PASSED_ON = "left out: $@: the arguments that the script itself is given"
_CONTAINER = re.compile(
    r"\b(docker|podman|nerdctl)\b|(?m:^\s*(services|apiVersion|image|Image)\s*[:=])"
)
CONTAINER = (
    "a container is not taken over: write its arguments as a command line, "
    "'vllm serve MODEL …' with what follows the image, its ports and variables"
)
"""What to do with a source that runs an image."""
_SHELLS = ("sh", "bash", "dash")
_EXEC = re.compile(r"(?m)^\s*ExecStart=[-@:+!]*(.*)$")
_LEADERS = {"exec", "nohup", "nice", "env", "sudo", "time", "numactl", "setsid"}
_MODULES = {"vllm.entrypoints.openai.api_server", "vllm.entrypoints.cli.main"}


@attrs.frozen
class Launch:
    """What is run."""

    program: tuple[str, ...]
    """What stands for vllm: a path, or Python and a module."""
    arguments: tuple[str, ...]
    """From the first after `serve` on."""
    variables: dict[str, str]
    """What is set for it."""
    remarks: tuple[str, ...]
    """What was seen and is not taken over, and why."""


def find(text: str, set_before: Mapping[str, str] = MappingProxyType({})) -> list[Launch]:
    """Find the commands that serve in a script, a unit, or a command line: one, as a rule.

    `set_before` are variables that it starts with.
    Raises: VllmdError: there is none, or its words cannot be told apart.
    """
    launches = list(_found(text, set_before))
    if not launches:
        container = f"; {CONTAINER}" if _CONTAINER.search(text) else ""
        raise VllmdError(
            "no command that serves was found: neither 'vllm serve MODEL …' nor "
            f"'python -m vllm.entrypoints.openai.api_server --model MODEL …'{container}"
        )
    return launches


def _found(text: str, set_before: Mapping[str, str]) -> Iterator[Launch]:
    joined = re.sub(r"\\\n\s*", " ", text)
    variables = dict(set_before)
    remarks = list(find_remarks(text))
    for line in _lines(joined):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise VllmdError(f"cannot read this line: {line!r}: {error}") from None
        found = _launch(words, variables)
        if found is not None:
            program, arguments, own = found
            kept = {n: v for n, v in own.items() if _is_meant_for_vllm(n)}
            given = [word for word in _before_redirection(arguments) if word not in _ALL_ARGUMENTS]
            passed_on = [_PASSED_ON] if any(word in _ALL_ARGUMENTS for word in arguments) else []
            yield Launch(program, tuple(given), kept, (*remarks, *passed_on))
        else:
            variables |= _assigned(words, variables)


def unsolved(launch: Launch) -> Iterator[str]:
    """Yield the words that only a shell could work out, which is not run."""
    named = [f"{name}={value}" for name, value in launch.variables.items()]
    yield from (
        each for each in (*launch.program, *launch.arguments, *named) if _SHELL.search(each)
    )


def script_of(unit: str) -> str | None:
    """Return the path of what a unit starts, if that is a program without arguments of vLLM's."""
    for line in _EXEC.findall(re.sub(r"\\\n\s*", " ", unit)):
        words = [word for word in shlex.split(line) if not word.startswith("-")]
        if words and words[0].rsplit("/", 1)[-1] in _SHELLS:
            words.pop(0)
        return words[0] if words else None
    return None


def variables_of(unit: str) -> dict[str, str]:
    """Return what a unit sets for its program."""
    found: dict[str, str] = {}
    for line in _ENVIRONMENT.findall(re.sub(r"\\\n\s*", " ", unit)):
        found |= _assigned(shlex.split(line), found)
    return found


def environment_files(unit: str) -> list[str]:
    """Return the paths of the files whose variables a unit sets too."""
    return [path.strip().strip('"') for path in _ENVIRONMENT_FILE.findall(unit)]


def _lines(joined: str) -> Iterator[str]:
    """Yield what may be commands: of a unit its own keys, else each line."""
    started = _EXEC.findall(joined)
    if not started:
        yield from joined.splitlines()
        return
    for line in _ENVIRONMENT.findall(joined):
        yield from (shlex.quote(word) for word in shlex.split(line))
    for line in started:
        words = shlex.split(line)
        shell = len(words) > 2 and words[0].endswith("sh") and words[1] in ("-c", "-lc")
        yield words[2] if shell else line


def _launch(
    words: list[str], known: dict[str, str]
) -> tuple[tuple[str, ...], list[str], dict[str, str]] | None:
    own = dict(known)
    words = list(words)
    while words:
        assigned = _ASSIGNMENT.fullmatch(words[0])
        if assigned and "/" not in assigned[1]:
            own[assigned[1]] = _filled(assigned[2], own)
        elif words[0] not in _LEADERS and not words[0].startswith("-"):
            break
        words.pop(0)
    words = [_filled(word, own) for word in words]
    for i, word in enumerate(words[:8]):
        if word.rsplit("/", 1)[-1] == "vllm" and words[i + 1 : i + 2] == ["serve"]:
            return (word,), words[i + 2 :], own
        if word == "-m" and words[i + 1 : i + 2] and words[i + 1] in _MODULES:
            rest = words[i + 2 :]
            python = words[i - 1] if i else "python3"
            program = (python, "-m", "vllm.entrypoints.cli.main")
            return program, rest[1:] if rest[:1] == ["serve"] else rest, own
    return None


def _assigned(words: list[str], known: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        match = _ASSIGNMENT.fullmatch(word)
        if match:
            found[match[1]] = _filled(match[2], {**known, **found})
        elif word != "export":
            return found
    return found


def _filled(text: str, known: dict[str, str]) -> str:
    """Put variables in; what is not known stays as it is, and is seen by who reads the result."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        return known.get(name, match[2] if match[2] is not None else match[0])

    return _NAME.sub(value, text)


def _before_redirection(arguments: list[str]) -> Iterator[str]:
    for word in arguments:
        if re.match(r"\d?>|&>|[|;&]", word) or word in ("2>&1", "&&", "||"):
            return
        yield word


def _is_meant_for_vllm(name: str) -> bool:
    return bool(
        re.match(
            r"(VLLM|HF|HUGGING|CUDA|NCCL|PYTORCH|TORCH|TRANSFORMERS|TRITON|OMP|TOKENIZERS|NVIDIA)_",
            name,
        )
    )


def find_remarks(text: str) -> Iterator[str]:
    """Yield what a script or a unit does that vllmd does by itself."""
    for pattern, remark in (
        (r"\bnohup\b|&\s*$", "nohup and &: vllmd keeps the engine running by itself"),
        (
            r">>?\s*\S+\.log|StandardOutput=",
            "the log file: vllmd writes and rotates a log of its own",
        ),
        (
            r"(?m)^User=(?!vllmd$)",
            "User=: engines run as user vllmd: let it read the model, the adapters and the cache",
        ),
        (r"Restart=", "Restart=: vllmd restarts an engine whatever its exit code, by its cause"),
        (r"TimeoutStopSec=", "TimeoutStopSec=: see drain_s and stop_grace_s"),
        (r"\bpkill\b|\bkill\b", "kill: vllmd ends the whole tree, and proves that it is gone"),
        (
            r"^\s*(ssh|pdsh)\s|\bkubectl exec\b",
            "ssh and the like: what runs on another host belongs into the configuration there; "
            "take its table out of this one",
        ),
        (r"while (true|:)|until ", "the loop around it: vllmd restarts with growing pauses"),
    ):
        if re.search(pattern, text, re.MULTILINE):
            yield remark
