"""A load, made by `vllm bench serve`: random prompts by a seed, the same for every version.

Source of flags and results: vllm/benchmarks/serve.py, 0.20 to 0.32.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs

from vllmd.errors import CompareError

LAST_LINES = 6
ROUND_S = 1800.0
"""A round that takes longer is given up: the load of the defaults takes minutes."""
_RESET = re.compile(r"ConnectionResetError|ServerDisconnectedError")
"""How `aiohttp` names a connection that the other end closed: it says nothing of the answer."""
RESULT = "result.json"


@attrs.frozen
class LoadSpec:
    """What is asked: figures of one load can be held against those of the same one only."""

    requests: int = 100
    at_once: int = 8
    prompt_tokens: int = 512
    answer_tokens: int = 128


@attrs.frozen
class Target:
    """Where an engine answers."""

    url: str
    model: str
    """The name that requests give."""
    tokenizer: str
    """The model's folder, or its name on the hub."""
    api_key: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Round:
    """What one run of a load showed."""

    failed: int
    tokens_per_s: float
    """Of answers."""
    first_token_s: float
    """The median."""
    first_token_p95_s: float
    between_tokens_p95_s: float
    prompt_tokens: int
    """Of all prompts: the same in every round of a seed, or it was another load."""
    answers: tuple[str, ...]


def command(program: str, target: Target, load: LoadSpec, seed: int, folder: Path) -> list[str]:
    """Return the command of one round."""
    options: dict[str, Any] = {
        "backend": "openai",
        "base-url": target.url,
        "endpoint": "/v1/completions",
        "model": target.model,
        "tokenizer": target.tokenizer,
        "dataset-name": "random",
        "random-input-len": load.prompt_tokens,
        "random-output-len": load.answer_tokens,
        "random-range-ratio": 0.5,
        "num-prompts": load.requests,
        "max-concurrency": load.at_once,
        "seed": seed,
        "temperature": 0,
        "percentile-metrics": "ttft,itl",
        "metric-percentiles": "50,95",
        "result-dir": folder,
        "result-filename": RESULT,
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags += ["--ignore-eos", "--disable-tqdm", "--save-result", "--save-detailed"]
    return [program, "bench", "serve", *flags]


def measure(
    program: str,
    target: Target,
    load: LoadSpec,
    seed: int,
    env: Mapping[str, str],
    within_s: float = ROUND_S,
) -> Round:
    """Run one round to its end.

    One of which connections were reset is asked again, for what fails a second time.

    Raises: CompareError: it failed, with its last words, or took longer than `within_s` seconds.
    """
    found, resets = _once(program, target, load, seed, env, within_s)
    if resets:
        again, _ = _once(program, target, load, seed, env, within_s)
        return attrs.evolve(found, failed=min(found.failed, found.failed - resets + again.failed))
    return found


def _once(
    program: str,
    target: Target,
    load: LoadSpec,
    seed: int,
    env: Mapping[str, str],
    within_s: float,
) -> tuple[Round, int]:
    """Return what a round showed, and how many requests ended with their connection."""
    key = {"OPENAI_API_KEY": target.api_key} if target.api_key else {}
    with TemporaryDirectory(prefix="vllmd-compare-") as name:
        folder = Path(name)
        words = command(program, target, load, seed, folder)
        code, output = _run(words, {**env, **key}, within_s)
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            result = json.loads((folder / RESULT).read_text())
            return read(result), resets_of(result)
    lines = [line for line in output.splitlines() if line.strip()][-LAST_LINES:]
    raise CompareError(
        f"'{program} bench serve' exited {code} without a result:\n" + "\n".join(lines)
    )


def _run(words: list[str], env: Mapping[str, str], within_s: float) -> tuple[int, str]:
    """Return how a program ended, and what it printed; nothing of it is left."""
    try:
        process = subprocess.Popen(
            words,
            env=env,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise CompareError(f"{words[0]} cannot be run: {error.strerror}") from None
    with process:
        try:
            output, _ = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            raise CompareError(
                f"'{words[0]} bench serve' has not ended after {within_s:g} s, and was ended: "
                "nothing is concluded. Take a smaller load (--requests), or give it longer "
                "(--round-timeout)"
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


def read(result: Mapping[str, Any]) -> Round:
    """Read the file that a round wrote.

    Raises: KeyError, ValueError, TypeError: it is something else.
    """
    return Round(
        failed=int(result["failed"]),
        tokens_per_s=float(result["output_throughput"]),
        first_token_s=float(result["median_ttft_ms"]) / 1000,
        first_token_p95_s=float(result["p95_ttft_ms"]) / 1000,
        between_tokens_p95_s=float(result["p95_itl_ms"]) / 1000,
        prompt_tokens=int(result["total_input_tokens"]),
        answers=tuple(map(str, result["generated_texts"])),
    )


def resets_of(result: Mapping[str, Any]) -> int:
    """Return how many requests of a round failed as their connection was reset."""
    errors = result.get("errors")
    found = errors if isinstance(errors, list) else []
    return sum(_RESET.search(str(each)) is not None for each in found)
