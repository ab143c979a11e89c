"""A finding leads to its page, which exists."""

from pathlib import Path

from tests.helpers.each import of_each
from vllmd.doctor.checks import CHECKS
from vllmd.doctor.finding import Finding, FindingSeverity

PAGE = Path(__file__).parents[3] / "docs" / "doctor.md"


def test_finding_of_an_engine_keeps_the_rest() -> None:
    found = Finding("x", FindingSeverity.INFO, "f", "r", "fix").of("chat")
    assert (found.engine, found.found, found.page) == ("chat", "f", "docs/doctor.md#x")


@of_each(CHECKS)
def test_every_check_is_explained(name: str) -> None:
    assert f"\n### {name}\n" in PAGE.read_text()
