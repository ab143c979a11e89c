"""The dashboards as JSON: without what a reader would stumble over."""

import itertools
import json
import re
from typing import Any

import pytest

from vllmd.monitoring.dashboards import DASHBOARDS
from vllmd.monitoring.dashboards.panels import Panel, PanelRow, Query, place

BUILT = {name: build() for name, build in DASHBOARDS.items()}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, made in BUILT.items()
    for panel in made["panels"]
    if panel["type"] != "row"
]
LETTERS_A_COLUMN = 5.2
"""What fits of a title over a panel, on a screen of 1280 pixels."""
KINDS = {"timeseries", "stat", "state-timeline", "heatmap", "table"}
"""What Grafana 10.4 to 13 share."""


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["type"] in KINDS
    assert 0 < len(panel["title"]) <= LETTERS_A_COLUMN * panel["gridPos"]["w"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert target["datasource"]["uid"] == "${datasource}"
        assert '"$instance"' in target["expr"]


@pytest.mark.parametrize("panel", PANELS)
def test_units_are_those_of_the_metrics(panel: dict[str, Any]) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        expr = target["expr"]
        if unit == "bytes":
            assert "_bytes" in expr
            assert "rate(" not in expr
        if unit == "watt":
            assert "_watts" in expr or re.search(r"rate\(\w+_joules_total", expr)
        if unit in ("percentunit",):
            assert "_ratio" in expr or ":ratio_" in expr or "/" in expr or "seconds_total" in expr
        if unit == "s":
            assert "seconds" in expr


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_panels_have_places_and_numbers_of_their_own(made: dict[str, Any]) -> None:
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(each["gridPos"]["x"] + each["gridPos"]["w"] <= 24 for each in panels)


def test_lines_are_as_high_as_their_highest_panel() -> None:
    def panel(title: str, width: int, height: int) -> Panel:
        return Panel(title, "H.", "s", [Query("x", "x")], width=width, height=height)

    row = PanelRow("R", [panel("a", 12, 4), panel("b", 12, 8), panel("c", 24, 4)])
    placed = {each["title"]: each["gridPos"] for each in place([row, PanelRow("S", [])])}
    assert placed["b"] == {"x": 12, "y": 1, "w": 12, "h": 8}
    assert placed["c"] == {"x": 0, "y": 9, "w": 24, "h": 4}
    assert placed["S"]["y"] == 13


def test_axis_of_zeros_ends_where_a_person_expects_it() -> None:
    shares = Panel("P", "H.", "percentunit", [Query("x", "x")]).to_json(1, 0, 0)
    assert shares["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] == 0.05
    fixed = Panel("P", "H.", "percentunit", [Query("x", "x")], maximum=1).to_json(1, 0, 0)
    assert "axisSoftMax" not in fixed["fieldConfig"]["defaults"]["custom"]


def test_alerts_that_fire_begin_with_the_critical_ones_in_red() -> None:
    (alerts,) = [p for p in BUILT["overview"]["panels"] if p["title"] == "Alerts that fire"]
    organize, sort = alerts["transformations"]
    assert organize["options"]["excludeByName"]["Value"]
    assert sort == {"id": "sortBy", "options": {"sort": [{"field": "severity"}]}}
    assert min("critical", "warning", "none") == "critical", "as the sort has them"
    (severity,) = alerts["fieldConfig"]["overrides"]
    colours = severity["properties"][0]["value"][0]["options"]
    assert colours["critical"]["color"] == "red"


def test_panel_that_is_empty_where_all_is_well_says_so() -> None:
    (waits,) = [p for p in BUILT["gpu"]["panels"] if p["title"].startswith("Awaited")]
    assert waits["fieldConfig"]["defaults"]["noValue"] == "no engine waits for memory"


def test_no_data_source_is_hard_coded() -> None:
    for made in BUILT.values():
        for uid in re.findall(r'"uid": "([^"]*)"', json.dumps(made)):
            assert uid == "${datasource}" or uid.startswith("vllmd-")


FEW = re.compile(r"(topk|bottomk)\(20, |(sum|count) by \((owner|direction|currency)\)")


def test_overview_of_a_hundred_hosts_draws_few_lines() -> None:
    """Each line of a graph is one of the worst, or a sum over all hosts."""
    for panel in BUILT["overview"]["panels"]:
        if panel["type"] == "timeseries":
            for target in panel["targets"]:
                assert FEW.match(target["expr"]), panel["title"]
