"""A load, made by `vllm bench serve`: random prompts by a seed, the same for every version.

Source of flags and results: vllm/benchmarks/serve.py, 0.20 to 0.32.
"""

import contextlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs

from vllmd.errors import CompareError

LAST_LINES = 6
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
    program: str, target: Target, load: LoadSpec, seed: int, env: Mapping[str, str]
) -> Round:
    """Run one round to its end.

    Raises: CompareError: it failed, with its last words.
    """
    key = {"OPENAI_API_KEY": target.api_key} if target.api_key else {}
    with TemporaryDirectory(prefix="vllmd-compare-") as name:
        folder = Path(name)
        words = command(program, target, load, seed, folder)
        done = _run(words, {**env, **key})
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            return read(json.loads((folder / RESULT).read_text()))
    lines = [line for line in done.stdout.splitlines() if line.strip()][-LAST_LINES:]
    raise CompareError(
        f"'{program} bench serve' exited {done.returncode} without a result:\n" + "\n".join(lines)
    )


def _run(words: list[str], env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            words,
            env=env,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise CompareError(f"{words[0]} cannot be run: {error.strerror}") from None


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
