"""tools/mutants.py: the mistakes that it makes, and how it knows those that nobody can see."""

import ast
import itertools
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.site import wait_for
from tools import mutants
from tools.mutants import ROOT, Mutant
from vllmd.shim import proc

pytestmark = pytest.mark.long

SOURCE = '''
LIMIT_S = 5.0

async def wait(left_s, names):
    """Wait."""
    if left_s < LIMIT_S and names:
        log.info("late")
    try:
        await sleep(left_s + 1)
    except OSError:
        return None
    return not names
'''
EXPECTED = {
    ("comparison", "if (left_s <= LIMIT_S) and names:"),
    ("and/or", "if (left_s < LIMIT_S or names):"),
    ("condition", "if True:"),
    ("condition", "if False:"),
    ("call left out", "pass"),
    ("+/-", "await sleep((left_s - 1))"),
    ("constant", "await sleep(left_s + (1 + 1))"),
    ("constant", "await sleep(left_s + (1 - 1))"),
    ("handler left out", "raise"),
    ("return", "return None"),
    ("not", "return (names)"),
}


def test_of_file_makes_each_mistake_once_and_leaves_settings_and_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    path = tmp_path / "a.py"
    path.write_text(SOURCE)
    made = list(filter(mutants.is_valid, mutants.of_file(path)))
    seen = {(each.name.split(" in line")[0], each.changes[-1][2:]) for each in made}
    assert seen == EXPECTED
    assert len(made) == len(EXPECTED) + 1  # two calls are left out
    for each in made:
        ast.parse(each.new)
        assert each.function == "wait"


def test_equivalent_ones_are_mistakes_that_can_be_made_and_each_has_its_reason() -> None:
    settings = tomllib.loads((mutants.DATA / "equivalent.toml").read_text())
    for each in settings["equivalent"]:
        made = mutants.of_file(mutants.ROOT / each["file"])
        found = [mutant for mutant in made if mutants.is_equivalent(mutant, [each])]
        assert len(found) == 1, each
        assert each["reason"]


def test_drawn_is_the_same_for_a_seed_and_no_mutant_comes_twice() -> None:
    first, again = mutants.drawn(40, 7), mutants.drawn(40, 7)
    assert first == again
    assert len({(each.path, each.new) for each in first}) == 40
    assert first != mutants.drawn(40, 8)


def test_given_fit_the_code_as_it_is() -> None:
    given = list(mutants.given())
    assert len(given) >= 40
    for each in given:
        assert each.changes, each.name
        assert all((mutants.ROOT / name).exists() for name in mutants.tests_of(each, {})), each.name


def test_tests_of_every_risky_file_are_there() -> None:
    for path in (path for pattern in mutants.RISKIEST for path in mutants.ROOT.glob(pattern)):
        for mutant in itertools.islice(mutants.of_file(path), 1):
            assert mutants.tests_of(mutant, {}), mutant.path


def test_functions_of_names_the_innermost_with_its_class() -> None:
    source = (
        "class A:\n    x = 1\n\n    def b(self):\n        def c():\n            pass\n        c()\n"
    )
    assert mutants.functions_of(ast.parse(source)) == {
        4: "A.b",
        5: "A.b.c",
        6: "A.b.c",
        7: "A.b",
    }


def test_is_equivalent_knows_a_change_on_whatever_line_of_its_function() -> None:
    old, new = "a\n    if b < c:\n", "a\n    if b <= c:\n"
    mutant = Mutant("x", "vllmd/a.py", old, new, function="A.b")
    known = {"file": "vllmd/a.py", "function": "A.b", "old": "if b < c:", "new": "if b <= c:"}
    assert mutants.is_equivalent(mutant, [known])
    assert not mutants.is_equivalent(mutant, [{**known, "function": "A.c"}])
    assert not mutants.is_equivalent(mutant, [{**known, "new": "if b > c:"}])
    assert not mutants.is_equivalent(mutant, [{**known, "file": "vllmd/b.py"}])


STARTS = """
import subprocess, sys, time
from tools.mutants import WITH_US
print(subprocess.Popen([*WITH_US, "sleep", "600"]).pid, flush=True)
time.sleep(600)
"""


def test_what_runs_for_a_mutant_ends_with_whoever_is_killed() -> None:
    command = [sys.executable, "-c", STARTS]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_for("the program", lambda: proc.command_line(pid) == "sleep 600")
    parent.kill()
    parent.wait()
    wait_for("its end", lambda: proc.command_line(pid) == "")
