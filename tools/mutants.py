"""Does a test fail when the code is wrong? Small mistakes are made in a copy, one at a time.

First those of `tests/mutants/given.toml`, then as many as wanted of those that the operators below
make in the riskiest files, drawn by a seed. Each is tried on the tests that are
there for its file. A mutant that survives is a test that is missing, or changes nothing that
anybody could see: those are in `tests/mutants/equivalent.toml`, each with its reason.

Constants at the level of a module (settings: times, sizes) are not drawn, nor is what is printed.
"""

import argparse
import ast
import difflib
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import attrs

from tools.tree import copy_tree

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "mutants"
RISKIEST = (
    *("vllmd/shim/*.py", "vllmd/engine/supervisor.py", "vllmd/engine/restart/*.py"),
    *("vllmd/engine/stopping/*.py", "vllmd/engine/liveness/*.py", "vllmd/history/*.py"),
    *("vllmd/util/state_file.py", "vllmd/engine/usage.py"),
)
SEED = 24
"""The draw that is kept without a survivor; other seeds find what is still missing."""
FIRST_S = 60.0
TIMES_LONGER = 4
WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""What runs for a mutant ends when this process does, however that ends."""
OWN_HOST = 'mount -t tmpfs -o size=256m tmpfs /dev/shm; "$@"; exit $?'
"""A mutant sees no other process and no other shared memory, and all of it ends with its test."""

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}


@attrs.frozen
class Mutant:
    """One mistake: a file with another text."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    function: str = ""
    """Where it is, as `Judge.judge`; those that people wrote down say nothing of it."""
    edit: str = ""
    """What was there, and what is now."""

    def place_in(self, seed: int) -> bytes:
        """Return where it comes in a draw: the same for as long as its own code is the same."""
        text = f"{seed} {self.path} {self.function} {self.edit}"
        return hashlib.sha256(text.encode()).digest()

    @property
    def changes(self) -> list[str]:
        """Return the lines of the difference, without spaces around them."""
        lines = difflib.unified_diff(self.old.splitlines(), self.new.splitlines(), n=0, lineterm="")
        return [f"{line[0]} {line[1:].strip()}" for line in list(lines)[2:] if line[0] in "+-"]


def given() -> Iterator[Mutant]:
    """Yield the mutants that people wrote down."""
    for each in tomllib.loads((DATA / "given.toml").read_text())["mutant"]:
        source = (ROOT / each["file"]).read_text()
        if source.count(each["old"]) != 1:
            found = source.count(each["old"])
            sys.exit(f"given.toml: {each['name']}: its text is {found} times in {each['file']}")
        changed = source.replace(each["old"], each["new"])
        yield Mutant(each["name"], each["file"], source, changed, tuple(each.get("tests", ())))


def drawn(count: int, seed: int) -> list[Mutant]:
    """Return so many mutants of the riskiest files."""
    paths = sorted({path for pattern in RISKIEST for path in ROOT.glob(pattern)})
    possible = [mutant for path in paths for mutant in of_file(path)]
    possible.sort(key=lambda mutant: mutant.place_in(seed))
    valid = itertools.islice(filter(is_valid, possible), count)
    return sorted(valid, key=lambda mutant: mutant.path)


def is_valid(mutant: Mutant) -> bool:
    """Tell whether a mutant is a program, and another one."""
    try:
        return ast.dump(ast.parse(mutant.new)) != ast.dump(ast.parse(mutant.old))
    except SyntaxError:
        return False


def of_file(path: Path) -> Iterator[Mutant]:
    """Yield every mutant that the operators make of one file."""
    source, name = path.read_text(), str(path.relative_to(ROOT))
    raw, starts = source.encode(), [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(source)
    functions = functions_of(tree)
    for node, what, new in edits(tree):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        changed = (raw[:begin] + new.encode() + raw[end:]).decode()
        edit = f"{raw[begin:end].decode()} -> {new}"
        inside = functions[node.lineno]
        yield Mutant(f"{what} in line {node.lineno}", name, source, changed, (), inside, edit)


def functions_of(tree: ast.AST, above: str = "") -> dict[int, str]:
    """Return the innermost function of each line that is in one, with its class."""
    found: dict[int, str] = {}
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{above}.{node.name}".lstrip(".")
            if not isinstance(node, ast.ClassDef):
                found.update(dict.fromkeys(range(node.lineno, (node.end_lineno or 0) + 1), name))
            found.update(functions_of(node, name))
        else:
            found.update(functions_of(node, above))
    return found


def edits(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:  # noqa: PLR0912 - a table
    """Yield what may be replaced, what that is called, and by what."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(n): n for function in functions for body in function.body for n in ast.walk(body)}
    for node in inside.values():
        match node:
            case ast.Compare(ops=[op], comparators=[right]):
                text = f"{ast.unparse(node.left)} {COMPARISONS[type(op)]} {ast.unparse(right)}"
                yield node, "comparison", f"({text})"
            case ast.BoolOp():
                other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
                yield node, "and/or", f"({ast.unparse(ast.BoolOp(other, node.values))})"
            case ast.UnaryOp(op=ast.Not()):
                yield node, "not", f"({ast.unparse(node.operand)})"
            case ast.BinOp(op=ast.Add() | ast.Sub()) if not _is_text(node):
                turned = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
                yield node, "+/-", f"({ast.unparse(ast.BinOp(node.left, turned, node.right))})"
            case ast.Constant(value=bool()):
                yield node, "constant", str(not node.value)
            case ast.Constant(value=int() | float()):
                yield node, "constant", f"({node.value!r} + 1)"
                yield node, "constant", f"({node.value!r} - 1)"
            case ast.Return(value=ast.expr() as value) if not _is_no(value):
                yield node, "return", "return None"
            case ast.Expr(value=ast.Call() | ast.Await(value=ast.Call())):
                yield node, "call left out", "pass"
            case ast.Try(handlers=[_, *_]):
                for handler in node.handlers:
                    first, last = handler.body[0], handler.body[-1]
                    if not isinstance(first, ast.Raise):
                        yield _span(first, last), "handler left out", "raise"
            case ast.If(test=test):
                yield test, "condition", "True"
                yield test, "condition", "False"


def _span(first: ast.stmt, last: ast.stmt) -> ast.stmt:
    span = ast.Pass()
    span.lineno, span.col_offset = first.lineno, first.col_offset
    span.end_lineno, span.end_col_offset = last.end_lineno, last.end_col_offset
    return span


def _is_no(value: ast.expr) -> bool:
    """None and False are the same to who asks whether it is true; True in its place is drawn."""
    return isinstance(value, ast.Constant) and (value.value is None or value.value is False)


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(n, ast.JoinedStr | ast.List | ast.Set) for n in ast.walk(node)) or any(
        isinstance(n, ast.Constant) and isinstance(n.value, str | bytes) for n in ast.walk(node)
    )


def tests_of(mutant: Mutant, extras: dict[str, list[str]]) -> tuple[str, ...]:
    """Return the tests that are there for a mutant's file: its mirror, and those that are named."""
    if mutant.tests:
        return tuple(f"tests/unit/{test}" for test in mutant.tests)
    below = Path(mutant.path).relative_to("vllmd")
    mirror = Path("tests/unit", *below.parts[:-1], f"test_{below.name}")
    named = [f"tests/unit/{test}" for test in extras.get(mutant.path, ())]
    return tuple(dict.fromkeys([str(mirror)] * (ROOT / mirror).exists() + named))


class Bench:
    """Copies of the tree, each for one mutant at a time."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        self._limits: dict[tuple[str, ...], float] = {}
        for number in range(jobs):
            copy = folder / str(number)
            copy_tree(copy)
            self._free.put(copy)
        probe = ["unshare", *_APART, "true"]
        self._apart = subprocess.run(probe, capture_output=True, check=False).returncode == 0

    def try_tests(self, tests: tuple[str, ...], mutant: Mutant | None = None) -> tuple[bool, str]:
        """Run tests on a mutant, or on the code as it is; tell whether they pass, and the end."""
        copy = self._free.get()
        try:
            if mutant is not None:
                (copy / mutant.path).write_text(mutant.new)
            began = time.monotonic()
            passed, text = self._run(copy, tests, self._limits.get(tests, 10 * FIRST_S))
            if mutant is None:
                self._limits[tests] = FIRST_S + TIMES_LONGER * (time.monotonic() - began)
            return passed, text
        finally:
            if mutant is not None:
                (copy / mutant.path).write_text(mutant.old)
            self._free.put(copy)

    def _run(self, copy: Path, tests: tuple[str, ...], limit_s: float) -> tuple[bool, str]:
        with tempfile.TemporaryDirectory(prefix="m-") as short:
            pytest = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=line"]
            pytest += ["-p", "no:cacheprovider", "--show-capture=no", f"--basetemp={short}/t"]
            apart = ["unshare", *_APART, "sh", "-c", OWN_HOST, "sh"] if self._apart else []
            process = subprocess.Popen(
                [*WITH_US, *apart, *pytest, *tests],
                cwd=copy,
                env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            try:
                text, _ = process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return False, f"not over after {limit_s:.0f} s"
        return process.returncode == 0, text


_APART = ("--pid", "--fork", "--kill-child", "--mount", "--mount-proc")


def is_equivalent(mutant: Mutant, known: Iterable[dict[str, str]]) -> bool:
    """Tell whether somebody has said why no test can see a mutant."""
    changes = mutant.changes
    return any(
        (each["file"], each["function"]) == (mutant.path, mutant.function)
        and [f"- {each['old']}", f"+ {each['new']}"] == changes
        for each in known
    )


def main() -> int:
    """Try them; the exit code is 1 if one survives that is not known as equivalent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("--count", type=int, default=100, help="how many to draw (100)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the draw ({SEED})")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-given", action="store_true", help="the drawn ones only")
    options = parser.parse_args()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, and tests would inherit that
    settings = tomllib.loads((DATA / "equivalent.toml").read_text())
    mutants = [*(() if options.no_given else given()), *drawn(options.count, options.seed)]
    print(f"{len(mutants)} mutants, seed {options.seed}", flush=True)
    survivors: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        bench = Bench(Path(folder), options.jobs)
        tests = {mutant: tests_of(mutant, settings["tests"]) for mutant in mutants}
        with ThreadPoolExecutor(options.jobs) as pool:
            sets = sorted(set(tests.values()))
            for names, (passed, text) in zip(sets, pool.map(bench.try_tests, sets), strict=True):
                if not passed and not bench.try_tests(names)[0]:
                    sys.exit(f"{' '.join(names)} fail without a mutant:\n{text[-2000:]}")
            results = pool.map(lambda mutant: bench.try_tests(tests[mutant], mutant), mutants)
            for mutant, (survived, _) in zip(mutants, results, strict=True):
                known = survived and is_equivalent(mutant, settings.get("equivalent", []))
                word = "equivalent" if known else "SURVIVED" if survived else "killed"
                print(f"{word:10} {mutant.path}: {mutant.name}, {mutant.function}", flush=True)
                if survived:
                    print("".join(f"             {line}\n" for line in mutant.changes), end="")
                if survived and not known:
                    survivors.append(mutant)
    print(f"{len(survivors)} of {len(mutants)} survived (seed {options.seed})")
    for mutant in survivors:
        print(f"  {mutant.path}: {mutant.name}", *mutant.changes, sep="\n      ")
    return 1 if survivors else 0


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Leave the description as it is written."""


if __name__ == "__main__":
    sys.exit(main())
