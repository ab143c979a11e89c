"""What causes are known by is printed by the vLLM that is installed, in the file that is named."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.real import program_and_model
from vllmd.engine.causes import CAUSES, diagnose
from vllmd.engine.causes.base import Facts

NUMBERED = re.compile(r": -\(|: -4|'headless'|-\(\?:9")
"""Patterns of a value, which no source has."""
VALUE = "7"
"""Stands in a text for what is put into it."""
FILE = re.compile(r"vllm/[\w/]+\.py")
SIGNS = [
    (pattern, source)
    for cause in CAUSES
    for pattern, source in cause.signs.items()
    if re.match(r"vllm/[\w/]+\.py\b.* since ", source) and not NUMBERED.search(pattern)
]


@cache
def texts_of(path: Path) -> str:
    """Return the texts in a file, those that it puts together as a whole."""
    if not path.exists():
        return ""
    found = [_text(node) for node in ast.walk(ast.parse(path.read_text()))]
    return re.sub("%[sdr]", VALUE, "\n".join(filter(None, found)))


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(p) if isinstance(p, ast.Constant) else VALUE for p in parts)
        case ast.BinOp(left=left, right=right):
            return _text(left) + _text(right)
        case ast.ClassDef(name=name):
            return name
    return ""


@pytest.fixture(scope="module")
def packages() -> Path:
    program, _ = program_and_model()
    return next((Path(program).parent.parent / "lib").glob("python3*/site-packages"))


@pytest.mark.parametrize(("pattern", "source"), SIGNS, ids=[pattern[:40] for pattern, _ in SIGNS])
def test_sign_is_printed_by_the_file_that_its_cause_names(
    packages: Path, pattern: str, source: str
) -> None:
    texts = "\n".join(texts_of(packages / name) for name in FILE.findall(source))
    assert re.search(pattern, texts), f"{source} prints nothing like {pattern}"


ROOMS = ("config", "platforms", "engine", "lora", "model_executor/model_loader", "v1/core")
"""Where vLLM says what it does not take of what it was given, before it serves."""
OF_REFUSALS = {
    *("config_rejected", "parallel_misfit", "lora_unusable", "lora_rank", "unsupported_model"),
    *("checkpoint_mismatch", "weights_damaged", "broken_install", "gpu_unsupported", "engine_bug"),
    *("kv_cache_too_small", "context_too_long", "trust_remote_code", "file_missing", "vram_held"),
    *("model_not_found", "opentelemetry_missing", "numa_refused", "kv_transfer", "no_gpu"),
    *("permission_denied",),
}
KNOWN_SHARE = 0.97


def refusals(packages: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each ValueError and NotImplementedError with a message: file, function and text."""
    for room in ROOMS:
        for path in sorted((packages / "vllm" / room).rglob("*.py")):
            for function in ast.walk(ast.parse(path.read_text())):
                if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                for node in ast.walk(function):
                    match node:
                        case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[said, *_])) if (
                            name in ("ValueError", "NotImplementedError") and _text(said)
                        ):
                            text = " ".join(re.sub("%[sdr]", VALUE, _text(said)).split())
                            where = str(path.relative_to(packages))
                            yield where, function.name, f"{name}: {text}"


def cause_of(where: str, function: str, said: str) -> str:
    """Return what is said of a start that an exception ended."""
    before = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] "
    lines = (
        "EngineCore failed to start.",
        "Traceback (most recent call last):",
        '  File "/opt/venv/site-packages/vllm/v1/engine/core.py", line 9, in run_engine_core',
        f'  File "/opt/venv/site-packages/{where}", line 9, in {function}',
        said,
    )
    return diagnose(Facts("1", tuple(before + line for line in lines))).cause


def test_what_vllm_refuses_at_a_start_has_a_cause_that_says_so(packages: Path) -> None:
    told = {each: cause_of(*each) for each in refusals(packages)}
    assert len(told) > 400
    of_others = {each: cause for each, cause in told.items() if cause not in OF_REFUSALS}
    assert {each: c for each, c in of_others.items() if c != "unknown"} == {}
    assert len(of_others) < (1 - KNOWN_SHARE) * len(told), of_others
