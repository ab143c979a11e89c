"""The dashboards as JSON: fresh, and without what a reader would stumble over."""

import itertools
import re
from typing import Any

import pytest
from dashboards.generate import DASHBOARDS, FOLDER, text

BUILT = {name: build() for name, build in DASHBOARDS.items()}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, made in BUILT.items()
    for panel in made["panels"]
    if panel["type"] != "row"
]
MAX_TITLE = 42
"""What fits over a panel of a third of the width."""


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_is_kept_is_what_the_program_writes(name: str) -> None:
    assert (FOLDER / name).read_text() == text(DASHBOARDS[name]), "run 'make generate'"


def test_every_dashboard_that_is_kept_has_a_source() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(DASHBOARDS)


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert 0 < len(panel["title"]) <= MAX_TITLE
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert target["datasource"]["uid"] == "${datasource}"
        assert '"$instance"' in target["expr"]
        for function in re.findall(r"(\w*)\(?vllmd_\w+_(?:total|bucket)\{", target["expr"]):
            assert function in ("rate", "increase"), target["expr"]


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_panels_have_places_and_numbers_of_their_own(made: dict[str, Any]) -> None:
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(place["gridPos"]["x"] + place["gridPos"]["w"] <= 24 for place in panels)


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_variables_are_those_of_all(made: dict[str, Any]) -> None:
    names = [variable["name"] for variable in made["templating"]["list"]]
    assert names == ["datasource", "instance", "engine"]
