"""All launchers of the corpus: the configuration that each means, or the exact refusal."""

import re
from pathlib import Path

import pytest

from tests.launchers.corpus import FORMS, Case, cases, figures, run

CASES = list(cases())
PAGE = Path(__file__).parents[3] / "docs" / "migrate.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_launcher_is_taken_over_or_refused_as_it_should(case: Case, tmp_path: Path) -> None:
    outcome = run(case, tmp_path)
    assert outcome.right, outcome.found


def test_every_launcher_has_a_form_and_an_expectation() -> None:
    assert {case.form for case in CASES} <= set(FORMS)
    for case in CASES:
        assert bool(case.engines) != bool(case.refused), case.name


def test_figures_of_the_documentation_are_those_of_the_corpus() -> None:
    assert len(CASES) >= 60
    assert figures(CASES) in PAGE.read_text()


def test_sources_that_the_documentation_names_are_taken_over() -> None:
    _, _, table = PAGE.read_text().partition("| source | then | in `tests/launchers` |")
    rows = [line.split(" | ")[-1] for line in table.partition("\n\n")[0].splitlines()[2:]]
    named = [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]
    taken = {case.name for case in CASES if case.engines}
    assert len(named) == 18
    assert set(named) <= taken
