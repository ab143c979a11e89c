"""The files of vllmd, as the tests of their rules read them."""

import ast
import gc
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from tests.helpers import each

Rule = Callable[[Path], None]
ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vllmd"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = [p for p in SOURCES if p.name not in ("__init__.py", "__main__.py")]


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def of_each(paths: Iterable[Path]) -> Callable[[Rule], Callable[[], None]]:
    """Make one test of a rule, which names each file that breaks it."""
    return each.of_each(paths, lambda path: str(path.relative_to(ROOT)))


def tree_of(path: Path) -> ast.Module:
    tree = nodes_of(path)[0]
    assert isinstance(tree, ast.Module)
    return tree


def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a file, the module first; each is walked once, for all rules."""
    return _all_nodes()[path]


@cache
def _all_nodes() -> Mapping[Path, tuple[ast.AST, ...]]:
    """Read all at once; the garbage collector, to which they are 0.4 s each time, knows none."""
    gc.disable()
    try:
        nodes = {path: tuple(ast.walk(ast.parse(path.read_text()))) for path in SOURCES}
    finally:
        gc.enable()
    gc.freeze()
    return nodes


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return every imported module with its full name; `from a import b` gives both ways."""
    found: list[str] = []
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def room_of(path: Path) -> str:
    if path.parent != PACKAGE:
        return path.relative_to(PACKAGE).parts[0]
    return "__main__" if path.stem == "__main__" else "root"
