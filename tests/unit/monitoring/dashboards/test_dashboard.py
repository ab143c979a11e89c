"""Around the panels: variables, links between dashboards, marks of restarts and Xids."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.panels import every_panel
from vllmd.monitoring.dashboards import DASHBOARDS
from vllmd.monitoring.dashboards.dashboard import CHANGES, FAILURES, FAULTS

BUILT = {name: build() for name, build in DASHBOARDS.items()}


ONE_HOST = {"engine", "gpu"}


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_variables_are_those_that_queries_use(made: dict[str, Any]) -> None:
    names = [variable["name"] for variable in made["templating"]["list"]]
    assert names[:4] == ["datasource", "job", "instance", "engine"]
    used = str(made["panels"])
    for name in names[3:]:
        assert f"${name}" in used, f"{name} chooses nothing"
    for name in ("engine", "model", "gpu", "adapter"):
        assert (f'"${name}"' in used) <= (name in names), f"{name} is used, and no variable"


@pytest.mark.parametrize("name", BUILT)
def test_hosts_that_never_answered_can_be_chosen(name: str) -> None:
    listed = {each["name"]: each for each in BUILT[name]["templating"]["list"]}
    asked = listed["instance"]["query"]
    if name == "gpu":  # one without a GPU has nothing to show
        assert asked == 'label_values(vllmd_gpu_up{job=~"$job"}, instance)'
    else:
        assert asked == 'label_values(up{job=~"$job"}, instance)'
    assert listed["instance"]["multi"] == (name not in ONE_HOST)


@pytest.mark.parametrize("name", BUILT)
def test_page_of_one_engine_begins_with_one_and_shows_an_incident_of_minutes(name: str) -> None:
    listed = {each["name"]: each for each in BUILT[name]["templating"]["list"]}
    assert listed["engine"]["multi"] == listed["engine"]["includeAll"] == (name != "engine")
    week = name == "adapters-and-cost"
    assert BUILT[name]["time"] == {"from": "now-7d" if week else "now-1h", "to": "now"}


def test_points_of_spans_lead_to_their_traces() -> None:
    asked = [t for panel in every_panel(BUILT["engine"]) for t in panel["targets"]]
    with_points = [target["expr"] for target in asked if target.get("exemplar")]
    assert with_points
    assert all("vllmd_span_" in expr for expr in with_points)


@pytest.mark.parametrize("name", BUILT)
def test_links_lead_to_the_others_and_of_one_host_to_its_runbooks(name: str) -> None:
    others, *more = BUILT[name]["links"]
    assert others["type"] == "dashboards"
    assert others["tags"] == BUILT[name]["tags"] == ["vllmd"]
    assert [link["url"] for link in more] == ["http://$instance/runbooks/"] * (name in ONE_HOST)


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_events_are_marked_when_they_were_in_three_colours(made: dict[str, Any]) -> None:
    marks = made["annotations"]["list"]
    assert [mark["iconColor"] for mark in marks] == ["red", "orange", "blue"]
    for mark in marks:
        assert mark["useValueForTime"]
        assert "(1000 * vllmd_event_timestamp_seconds{" in mark["target"]["expr"]
        assert '"said", " ", "vllmd_engine", "event", "detail"' in mark["target"]["expr"]
        assert mark["titleFormat"] == "{{said}}"


def test_every_event_that_is_marked_has_one_colour() -> None:
    text = (Path(__file__).parents[4] / "vllmd/history/marks.py").read_text()
    words = set(re.findall(r'"([a-z_]+)"(?:, (?:""|event|str)| if)', text)) - {"requested"}
    assert "ready" in words
    assert sorted([*FAILURES, *FAULTS, *CHANGES]) == sorted(words)


def test_identifiers_are_unique_and_short() -> None:
    uids = [made["uid"] for made in BUILT.values()]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)
