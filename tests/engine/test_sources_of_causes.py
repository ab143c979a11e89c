"""What causes are known by is printed by the vLLM that is installed, in the file that is named."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.real import program_and_model
from vllmd.engine.causes import CAUSES

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
