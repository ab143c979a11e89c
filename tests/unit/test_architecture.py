"""What docs/architecture.md tells is so: its floors, its journeys and its words.

Two lines of a journey that follow each other know each other, as far as a machine can tell: one
file imports the other; or one calls, on an object that it was given, what the line of the other
names. Where neither does, "by" names what joins them: a file that both import, one that imports
both, or a text that is in both.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import attrs
import pytest

from tests.helpers.sources import (
    MODULES,
    PACKAGE,
    ROOT,
    SOURCES,
    imports,
    nodes_of,
    of_each,
    room_of,
    tree_of,
)
from tests.unit.test_design import MAY_IMPORT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
MAX_WORDS = 40


def section(name: str) -> str:
    """Return what is below a heading of the page."""
    _, after = PAGE.split(f"\n## {name}\n")
    return after.split("\n## ")[0]


# --- floors ----------------------------------------------------------------------------------


def read_floors() -> dict[str, int]:
    """Return the floor of each room, as drawn."""
    lines = re.findall(r"^floor +(\d+) +(\S+(?: · \S+)*)", section("Rooms"), re.MULTILINE)
    return {room: int(floor) for floor, rooms in lines for room in rooms.split(" · ")}


def test_floors_are_those_of_the_table_of_imports() -> None:
    floors: dict[str, int] = {}
    for room, allowed in MAY_IMPORT.items():
        floors[room] = 1 + max((floors[each] for each in allowed.split()), default=-1)
    assert read_floors() == floors


# --- layout ----------------------------------------------------------------------------------

OF_A_KIND = {
    *("cli/", "client/", "daemon/metrics/"),
    *("monitoring/alerts/", "monitoring/dashboards/", "monitoring/records/"),
}
"""Folders of which the page says that there is a file for each."""


def named_by_hand(path: Path) -> bool:
    """Tell whether the page has to name a module; `metrics.py` is told of all rooms at once."""
    name = path.relative_to(PACKAGE)
    return path.stem != "metrics" and f"{name.parent}/" not in OF_A_KIND and len(name.parts) > 1


@of_each(filter(named_by_hand, MODULES))
def test_layout_names_every_module_in_its_room(path: Path) -> None:
    _, layout = PAGE.split("\n## Layout\n")
    room = re.search(rf"^  {room_of(path)}/.*?(?=^  \w+/|^\w)", layout, re.MULTILINE | re.DOTALL)
    assert room, "its room is not in the Layout of the page"
    assert re.search(rf"\b{path.stem}\b", room[0]), "name it in the Layout of the page"


def loaded_with(path: Path) -> list[ast.stmt]:
    """Return the statements that are run when a file is loaded, without those for types alone."""
    return [
        node
        for node in tree_of(path).body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]


@pytest.mark.long
def test_files_are_loaded_without_a_circle() -> None:
    by_name = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in SOURCES}
    loads: dict[Path, set[Path]] = {}
    for path in SOURCES:
        names = set()
        for node in loaded_with(path):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        loads[path] = {by_name[name] for name in names if name in by_name}
    tuple(TopologicalSorter(loads).static_order())  # raises: CycleError


# --- journeys --------------------------------------------------------------------------------


@attrs.frozen
class Step:
    """One line of a journey."""

    file: str
    name: str
    by: str | None
    indented: bool

    @property
    def called(self) -> str:
        """The name by which another file calls it: of a class its own, of a method that."""
        return self.name.rsplit(".", 1)[-1]


def read_journeys() -> Iterator[tuple[str, list[Step]]]:
    _, *parts = re.split(r"^\*\*(.+)\*\*$", section("Five journeys"), flags=re.MULTILINE)
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        lines = text.strip().splitlines()
        found = [re.fullmatch(r"( *)(?:\d+\.|-) `(\S+\.py)` `([\w.]+)` (.+)", s) for s in lines]
        assert all(found), [line for line, step in zip(lines, found, strict=True) if not step]
        steps = [
            Step(step[2], step[3], by[1] if by else None, bool(step[1]))
            for step in found
            if step
            for by in [re.search(r"by `(\S+)`$", step[4])]
        ]
        yield title, steps


JOURNEYS = dict(read_journeys())


def pairs(steps: list[Step]) -> Iterator[tuple[Step, Step]]:
    """Yield each line with the one that it follows.

    Those that are indented follow the one above them, or else the line that calls them.
    """
    caller, above = steps[0], steps[0]
    for step in steps[1:]:
        if not step.indented:
            yield caller, step
            caller = step
        elif knows(above, step) or not above.indented:
            yield above, step
        else:
            yield caller, step
        above = step


def module_of(file: str) -> str:
    return f"vllmd.{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"


@cache
def imported(file: str) -> frozenset[str]:
    return frozenset(imports(PACKAGE / file))


@cache
def called(file: str) -> frozenset[str]:
    """Return the attributes that a file calls or hands on."""
    nodes = nodes_of(PACKAGE / file)
    return frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute))


def knows(one: Step, other: Step) -> bool:
    a, b = module_of(one.file), module_of(other.file)
    if b in imported(one.file) or a in imported(other.file):
        return True
    for caller, step in ((one, other), (other, one)):
        if not step.called.startswith("_") and step.called in called(caller.file):
            return True
    return other.by is not None and joined(other.by, one, other)


def joined(by: str, *steps: Step) -> bool:
    """Tell whether what a line names after "by" joins two files."""
    if not by.endswith(".py"):
        return all(by in (PACKAGE / step.file).read_text() for step in steps)
    both_import = all(step.file == by or module_of(by) in imported(step.file) for step in steps)
    return both_import or {module_of(step.file) for step in steps} <= imported(by)


def defined(file: str) -> Iterator[str]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    for node in tree_of(PACKAGE / file).body:
        if isinstance(node, functions):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            for inner in node.body:
                if isinstance(inner, functions):
                    yield f"{node.name}.{inner.name}"


def test_journeys_are_five() -> None:
    assert len(JOURNEYS) == 5
    assert min(map(len, JOURNEYS.values())) > 5


@pytest.mark.parametrize("journey", JOURNEYS)
def test_journey_has_files_and_names_that_exist(journey: str) -> None:
    for step in JOURNEYS[journey]:
        assert (PACKAGE / step.file).is_file(), step.file
        assert step.name in defined(step.file), f"{step.file} has no {step.name}"


@pytest.mark.parametrize("journey", JOURNEYS)
def test_journey_leads_from_each_file_to_its_neighbour(journey: str) -> None:
    apart = [f"{a.file} | {b.file}" for a, b in pairs(JOURNEYS[journey]) if not knows(a, b)]
    assert not apart, "neither imports nor calls the other"


@pytest.mark.parametrize("journey", JOURNEYS)
def test_journey_goes_down_the_floors_or_up_and_does_not_climb_back(journey: str) -> None:
    floors = read_floors()
    way = [floors[room_of(PACKAGE / s.file)] for s in JOURNEYS[journey] if not s.indented]
    assert way == sorted(way) or way == sorted(way, reverse=True)


def test_journey_neighbours_that_know_nothing_of_each_other_are_found() -> None:
    one = Step("gpu/wire.py", "decode", None, indented=False)
    assert not knows(one, Step("cli/stop.py", "command", None, indented=False))


# --- words -----------------------------------------------------------------------------------

WORDS = re.findall(r"^\| (?!word|---)(.+?) \| .+ \|$", section("Glossary"), re.MULTILINE)


def test_glossary_is_short_and_has_each_word_once() -> None:
    assert 0 < len(set(WORDS)) == len(WORDS) <= MAX_WORDS


@cache
def names() -> frozenset[str]:
    """Return each identifier of the code, as words between spaces."""
    found = set()
    for path in SOURCES:
        for name in re.findall(r"[A-Za-z_]\w+", path.read_text()):
            apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
            found.add(f" {' '.join(apart.split('_'))} ")
    return frozenset(found)


def test_glossary_has_words_of_the_code_only() -> None:
    used = " ".join(names())
    unused = [word for word in WORDS if not re.search(rf" {word.replace('-', ' ')}(s|ed)? ", used)]
    assert not unused
