"""The dashboards as JSON: without what a reader would stumble over."""

import itertools
import json
import re
from typing import Any

import pytest

from tests.helpers.each import of_each
from tests.helpers.panels import every_panel
from vllmd.monitoring.dashboards import DASHBOARDS
from vllmd.monitoring.dashboards.panels import LATENCY, Panel, PanelRow, Query, place, worst

BUILT = {name: build() for name, build in DASHBOARDS.items()}
PANELS = [
    (f"{name}: {panel['title']}", panel)
    for name, made in BUILT.items()
    for panel in every_panel(made)
]
LETTERS_A_COLUMN = 5.2
"""What fits of a title over a panel, on a screen of 1280 pixels."""
KINDS = {"timeseries", "stat", "state-timeline", "heatmap", "table"}
"""What Grafana 10.4 to 13 share."""


@of_each(PANELS, lambda named: named[0])
def test_every_panel_says_what_it_shows(named: tuple[str, dict[str, Any]]) -> None:
    _, panel = named
    assert panel["type"] in KINDS
    assert 0 < len(panel["title"]) <= LETTERS_A_COLUMN * panel["gridPos"]["w"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["noValue"] != "No data"
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert target["datasource"]["uid"] == "${datasource}"
        assert '"$instance"' in target["expr"] or '"$instance|"' in target["expr"]


@of_each(PANELS, lambda named: named[0])
def test_units_are_those_of_the_metrics(named: tuple[str, dict[str, Any]]) -> None:
    _, panel = named
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
        if unit in ("s", LATENCY):
            assert "seconds" in expr or expr.startswith("max by (severity")


@of_each(PANELS, lambda named: named[0])
def test_counts_within_a_window_are_whole_numbers(named: tuple[str, dict[str, Any]]) -> None:
    """Prometheus extrapolates: of one failure it would show 1.33."""
    _, panel = named
    for target in panel["targets"]:
        if "increase(" in target["expr"] and panel["type"] != "heatmap":
            assert "round(" in target["expr"]


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_panels_have_places_and_numbers_of_their_own(made: dict[str, Any]) -> None:
    rows = [panel for panel in made["panels"] if panel["type"] == "row"]
    panels = [*rows, *every_panel(made)]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for group in (made["panels"], *(row["panels"] for row in rows)):
        _check_places(group)


def _check_places(panels: list[dict[str, Any]]) -> None:
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    lines: dict[int, list[dict[str, int]]] = {}
    for each in panels:
        lines.setdefault(each["gridPos"]["y"], []).append(each["gridPos"])
    for line in lines.values():
        assert sum(at["w"] for at in line) == 24, f"a hole beside {line}"
        assert len({at["h"] for at in line}) == 1, f"a hole below one of {line}"


def _panel(title: str, width: int, height: int) -> Panel:
    return Panel(title, "H.", "s", [Query("x", "x")], width=width, height=height)


def test_lines_are_as_high_as_their_highest_panel() -> None:
    row = PanelRow("R", [_panel("a", 12, 4), _panel("b", 12, 8), _panel("c", 24, 4)], closed=False)
    placed = {each["title"]: each["gridPos"] for each in place([row, PanelRow("S", [])])}
    assert placed["a"] == {"x": 0, "y": 1, "w": 12, "h": 8}
    assert placed["b"] == {"x": 12, "y": 1, "w": 12, "h": 8}
    assert placed["c"] == {"x": 0, "y": 9, "w": 24, "h": 4}
    assert placed["S"]["y"] == 13


def test_closed_row_has_its_panels_and_takes_one_line() -> None:
    rows = [PanelRow("R", [_panel("a", 12, 4)]), PanelRow("S", [], closed=False)]
    first, second = place(rows)
    assert first["collapsed"]
    assert [panel["title"] for panel in first["panels"]] == ["a"]
    assert second["gridPos"]["y"] == 1


def test_axis_of_zeros_ends_where_a_person_expects_it() -> None:
    shares = Panel("P", "H.", "percentunit", [Query("x", "x")]).to_json(1, 0, 0)
    assert shares["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] == 0.05
    fixed = Panel("P", "H.", "percentunit", [Query("x", "x")], maximum=1).to_json(1, 0, 0)
    assert "axisSoftMax" not in fixed["fieldConfig"]["defaults"]["custom"]


def test_worst_of_many_have_their_names_at_the_right_with_last_and_highest() -> None:
    made = Panel("P", "H.", "s", [worst("x", "x")]).to_json(1, 0, 0)
    assert made["targets"][0]["expr"] == "topk(8, x)"
    legend = made["options"]["legend"]
    assert (legend["placement"], legend["calcs"]) == ("right", ["lastNotNull", "max"])
    assert made["gridPos"] == {"x": 0, "y": 0, "w": 12, "h": 9}


def _of_overview(title: str) -> dict[str, Any]:
    (found,) = [p for p in every_panel(BUILT["overview"]) if p["title"] == title]
    return found


def test_alerts_that_fire_begin_with_the_critical_ones_in_red() -> None:
    alerts = _of_overview("Alerts that fire")
    assert alerts["transformations"][-1] == {
        "id": "sortBy",
        "options": {"sort": [{"field": "Severity", "desc": False}]},
    }
    assert min("critical", "warning", "none") == "critical", "as the sort has them"
    (severity,) = [
        each
        for each in alerts["fieldConfig"]["overrides"]
        if each["matcher"]["options"] == "Severity"
    ]
    mappings = {each["id"]: each["value"] for each in severity["properties"]}["mappings"]
    assert mappings[0]["options"]["critical"]["color"] == "red"


def test_alert_leads_to_its_runbook_at_the_host_that_it_is_about() -> None:
    overrides = _of_overview("Alerts that fire")["fieldConfig"]["overrides"]
    links = {
        each["matcher"]["options"]: value["value"][0]["url"]
        for each in overrides
        for value in each["properties"]
        if value["id"] == "links"
    }
    assert links["Alert"].startswith("http://${__data.fields.Host}/runbooks/${__data.fields.Alert}")


def test_line_of_an_engine_leads_to_its_dashboard_its_host_and_its_gpus() -> None:
    panel = _of_overview("Engines")
    titles = [each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]]
    links = json.dumps(panel["fieldConfig"]["overrides"])
    for uid in ("vllmd-engine", "vllmd-gpu", "vllmd-adapters-and-cost"):
        assert f"/d/{uid}?" in links
        assert uid in {made["uid"] for made in BUILT.values()}
    assert "http://${__data.fields.Host}/" in links
    assert {"Host", "Engine", "State", "Restart margin"} <= set(titles)


def test_first_screen_of_the_overview_has_eight_numbers_and_closed_rows_below() -> None:
    made = BUILT["overview"]
    numbers = [panel for panel in made["panels"] if panel["type"] == "stat"]
    assert [panel["gridPos"]["y"] for panel in numbers] == [0] * 8
    assert all(panel["options"]["graphMode"] == "area" for panel in numbers)
    rows = [panel for panel in made["panels"] if panel["type"] == "row"]
    assert all(row["collapsed"] for row in rows)
    shown = [p["gridPos"] for p in made["panels"] if p["type"] != "row"]
    assert max(at["y"] + at["h"] for at in shown) * 38 + 180 <= 1080


def test_names_of_numbers_can_be_read_and_a_share_ends_at_all_of_it() -> None:
    numbers = [panel for panel in every_panel(BUILT["overview"]) if panel["type"] == "stat"]
    assert {panel["options"]["text"]["titleSize"] for panel in numbers} == {14}
    (cache,) = [each for each in numbers if each["title"] == "Waiting, KV"]
    of_b = cache["fieldConfig"]["overrides"][1]
    assert of_b["matcher"]["options"] == "B"
    assert {"id": "max", "value": 1} in of_b["properties"]


def test_what_must_not_be_below_zero_is_red_there() -> None:
    for name in ("overview", "gpu"):
        (room,) = [p for p in every_panel(BUILT[name]) if p["title"].startswith("Room to spare")]
        defaults = room["fieldConfig"]["defaults"]
        assert defaults["custom"]["thresholdsStyle"] == {"mode": "area"}
        assert [each["color"] for each in defaults["thresholds"]["steps"]] == ["red", "transparent"]


def test_latencies_stay_seconds() -> None:
    """80 s are "1.33 mins" in Grafana's unit."""
    for name, title in (
        ("overview", "TTFT p95"),
        ("overview", "Time to first token, 95 %"),
        ("engine", "Time to first token"),
        ("engine", "Where a request spends its time"),
        ("engine", "Whole requests"),
    ):
        (panel,) = [p for p in every_panel(BUILT[name]) if p["title"] == title]
        assert panel["fieldConfig"]["defaults"]["unit"] == "suffix:s"


def test_area_without_height_leaves_no_line_on_the_one_below() -> None:
    for stacked, width in ((True, 0), (False, 1)):
        made = Panel("P", "H.", "s", [Query("x", "x")], stacked=stacked).to_json(1, 0, 0)
        assert made["fieldConfig"]["defaults"]["custom"]["lineWidth"] == width


def test_panel_that_is_empty_where_all_is_well_says_so() -> None:
    (waits,) = [p for p in every_panel(BUILT["gpu"]) if p["title"].startswith("Awaited")]
    assert waits["fieldConfig"]["defaults"]["noValue"] == "no engine waits for memory"


def test_no_data_source_is_hard_coded() -> None:
    for made in BUILT.values():
        for uid in re.findall(r'"uid": "([^"]*)"', json.dumps(made)):
            assert uid == "${datasource}" or uid.startswith("vllmd-")


FEW = re.compile(r"(topk|bottomk)\(8, |(sum|count) by \((owner|direction|currency)\)")


def test_overview_of_a_hundred_hosts_draws_few_lines() -> None:
    """Each line of a graph is one of the worst, or a sum over all hosts."""
    for panel in every_panel(BUILT["overview"]):
        if panel["type"] == "timeseries":
            for target in panel["targets"]:
                assert FEW.match(target["expr"]), panel["title"]
