"""The table of faults in docs/monitoring.md says what alerts say now."""

import re
from pathlib import Path

import pytest

from vllmd.monitoring.alerts import every_alert

PAGE = Path(__file__).parents[3] / "docs" / "monitoring.md"
ALERTS = {alert.name: alert for alert in every_alert()}


def rows() -> list[list[str]]:
    """Return the cells of each line: fault, alerts, seconds, words."""
    table = PAGE.read_text().partition("| fault | alerts that came |")[2].partition("\n\n")[0]
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_words_are_those_of_the_alert(row: list[str]) -> None:
    _, came, after, words = row
    if came == "none":
        assert (after, words) == ("", "")
        return
    names = came.split(", ")
    assert set(names) <= set(ALERTS)
    assert any(re.fullmatch(_pattern(ALERTS[name].summary), words) for name in names), words


def _pattern(summary: str) -> str:
    """Return what a summary looks like, whatever its engine, GPU and number are."""
    return "".join(
        ".+" if part.startswith("{{") else re.escape(part)
        for part in re.split(r"(\{\{.*?\}\})", summary)
    )
