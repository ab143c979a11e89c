"""What holds for each file of vllmd by itself: its size, its names, what it must not do."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.helpers.sources import (
    PACKAGE,
    SOURCES,
    imports,
    name_of,
    nodes_of,
    of_each,
    room_of,
    tree_of,
)
from vllmd.engine.causes import BY_NAME
from vllmd.engine.state_machine import State


@of_each(sorted((PACKAGE / "cli").glob("*.py")))
def test_command_line_prints_by_its_terminal_only(path: Path) -> None:
    """Elsewhere, what an engine or a client put into a text would reach the terminal."""
    if path.name == "terminal.py":
        return
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("click.echo", "click.secho", "click.style", "print"), node.lineno


OUTSIDE_EVENTS = [p for p in SOURCES if p.parent.name != "events"]
SHOWS_RECORDS = {"history/store.py", "cli/events.py"}
"""They write or print the fields of any event, and know none of them."""


@of_each(OUTSIDE_EVENTS)
def test_fields_of_events_are_read_as_attributes(path: Path) -> None:
    """A field that is renamed is then found by mypy; only `events/` reads records back."""
    for node in nodes_of(path):
        if isinstance(node, ast.Attribute) and node.attr == "fields":
            known = ast.unparse(node.value) == "attrs" or name_of(path) in SHOWS_RECORDS
            assert known, f"line {node.lineno}: read it back as a class"
        match node:
            case ast.Subscript(value=read, slice=ast.Constant(str()), ctx=ast.Load()):
                pass
            case ast.Call(
                func=ast.Attribute(value=read, attr="get"), args=[ast.Constant(str()), *_]
            ):
                pass
            case _:
                continue
        by_key = isinstance(read, ast.Name) and read.id == "fields"
        assert not by_key, f"line {node.lineno}: read it back as a class"


@of_each(OUTSIDE_EVENTS)
def test_log_is_told_events_by_emit_only(path: Path) -> None:
    levels = {"debug", "info", "warning", "error", "exception", "critical"}
    for node in nodes_of(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            told = ast.unparse(node.func.value)
            to_log = node.func.attr in levels and re.search(r"log(ger)?(\(\))?$", told)
            assert not to_log, f"line {node.lineno}: emit(log, an event)"


BY_OTHERS = {"tiny_model.py", "probe.py"}
"""Run by the engine's Python; and the client by applications."""
IN_THE_DAEMON = [
    p for p in SOURCES if not {"cli", "client"} & set(p.parts) and p.name not in BY_OTHERS
]


@of_each(IN_THE_DAEMON)
def test_daemon_and_shim_import_everything_at_start(path: Path) -> None:
    """An upgrade replaces files under the running process: a late import would break it."""
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            late = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not late, f"{node.name} imports late, line {late[0].lineno}"


@of_each(SOURCES)
def test_public_things_have_docstrings(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the module has no docstring"
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        assert ast.get_docstring(node), f"{node.name} has no docstring"
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                public = not inner.name.startswith("_")
                assert not public or ast.get_docstring(inner), f"{node.name}.{inner.name}"


@of_each(SOURCES)
def test_files_fit_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


CLOSED_LISTS = {*map(str, State), *BY_NAME}
OF_OTHER_VERSIONS = {"eventlog", "events", "history"}
"""They read rows and lines that another version wrote: a state is a text there."""
OTHER_WORDS = {("status/conditions.py", "starting"), ("gpu/service.py", "driver_mismatch")}
"""Of the reader of GPUs, which has the same words for its own reasons."""
WEIGHTS = {("engine/status_text.py", "loading")}
"""Of the weights that are kept, which have states of their own."""


@of_each(p for p in SOURCES if room_of(p) not in OF_OTHER_VERSIONS)
def test_states_and_causes_are_not_compared_as_strings(path: Path) -> None:
    """One that is renamed is then found by mypy, or when the module is loaded."""
    if "causes" in path.parts:
        return  # the tables, which name each other's causes; a test of theirs holds that
    for node in nodes_of(path):
        if isinstance(node, ast.Compare):
            for each in (n for n in ast.walk(node) if isinstance(n, ast.Constant)):
                allowed = (name_of(path), each.value) in OTHER_WORDS | WEIGHTS
                assert each.value not in CLOSED_LISTS or allowed, (
                    f"line {node.lineno}: {each.value!r}"
                )


@of_each(SOURCES)
def test_functions_fit_a_screen(path: Path) -> None:
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


def test_class_names_are_used_once() -> None:
    """A name that is used twice leads to the wrong file half of the time."""
    found = defaultdict(list)
    for path in SOURCES:
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name_of(path))
    assert found
    twice = {name: files for name, files in found.items() if len(files) > 1}
    assert not twice


RECORDS_OF_OTHERS = {"installing/layout.py", "installing/probing.py", "comparing/record.py"}
"""What is known, or was measured, of an installed engine: made once, asked for by commands."""


@of_each(SOURCES)
def test_what_a_daemon_keeps_is_a_state_file(path: Path) -> None:
    """One rule for damage, writing and versions: see util/state_file.py."""
    if room_of(path) == "shim" or name_of(path) in RECORDS_OF_OTHERS | {"util/state_file.py"}:
        return
    assert "vllmd.shim.record.write_record" not in set(imports(path))


@of_each(SOURCES)
def test_broad_excepts_only_isolate(path: Path) -> None:
    """`except Exception` stands only where a runner isolates its parts."""
    broad = [
        node.lineno
        for node in nodes_of(path)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    ]
    assert not broad or name_of(path) in (
        "collectors/runner.py",
        "util/parts.py",
        "eventlog/bus.py",
        "gpu/reader.py",
        "eventlog/log.py",
        "daemon/lifetime.py",
        "shim/internal_errors.py",
        "shim/server.py",
        "shim/writer.py",
        "history/writer.py",
        "lora/service.py",
        "installing/probe.py",
    )


OWN_JSON = {
    *("installing/probe.py", "doctor/on_start.py", "gpu/latest.py", "cli/dashboard.py"),
    *("comparing/bench.py", "engine/liveness/look_process.py"),
}
"""They read what vllmd itself wrote a moment before."""


@of_each(SOURCES)
def test_json_of_others_may_be_nested_too_deep(path: Path) -> None:
    """`parse_json` says so as for any other text that is no JSON; Python raises RecursionError."""
    if name_of(path) in OWN_JSON or path.parent.name == "demo":
        return
    caught, safe = re.compile(r"RecursionError|\bException|MAKES_NO_SENSE"), set()
    for node in nodes_of(path):
        if isinstance(node, ast.Try) and any(
            each.type is not None and caught.search(ast.unparse(each.type))
            for each in node.handlers
        ):
            safe |= {id(inner) for each in node.body for inner in ast.walk(each)}
        elif isinstance(node, ast.With) and caught.search(ast.unparse(node.items[0])):
            safe |= {id(inner) for inner in ast.walk(node)}
    for node in nodes_of(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of_module = ast.unparse(node.func) == "json.loads"
            of_answer = node.func.attr == "json" and not node.args and not node.keywords
            assert not (of_module or of_answer) or id(node) in safe, f"line {node.lineno}"
