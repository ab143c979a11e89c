"""The examples of CONTRIBUTING.md are short, and fit the files that they name.

`tests/integration/test_contributing.py` does what they say.
"""

import shutil
from pathlib import Path

import pytest

from tests.helpers.contributing import EXAMPLES, ROOT, Example, apply

MAX_LINES = 30


def test_examples_are_of_all_things_and_short() -> None:
    titles = " ".join(each.title for each in EXAMPLES)
    for thing in ("metric", "cause", "check", "alert", "panel", "subcommand", "event"):
        assert thing in titles
    for each in EXAMPLES:
        lines = [line for _, body in each.files for line in body if line.strip("+ ")]
        assert len(lines) <= MAX_LINES, each.title


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.title)
def test_example_finds_its_places_and_its_checks(example: Example, tmp_path: Path) -> None:
    for name, lines in example.files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path / name)
        apply(tmp_path, name, lines)
    assert example.checks
    for check in example.checks:
        file, _, function = check.partition("::")
        there = [each for each in (ROOT / file, tmp_path / file) if each.exists()]
        assert there, file
        assert f"def {function}" in there[0].read_text(), check
