"""Around the panels: variables, links between dashboards, marks of restarts and Xids."""

from typing import Any

import pytest

from vllmd.monitoring.dashboards import DASHBOARDS

BUILT = {name: build() for name, build in DASHBOARDS.items()}


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_variables_are_those_that_queries_use(made: dict[str, Any]) -> None:
    names = [variable["name"] for variable in made["templating"]["list"]]
    assert names[:4] == ["datasource", "job", "instance", "engine"]
    used = str(made["panels"])
    for name in names[3:]:
        assert f"${name}" in used, f"{name} chooses nothing"
    for name in ("engine", "model", "gpu"):
        assert (f'"${name}"' in used) <= (name in names), f"{name} is used, and no variable"


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_links_lead_to_the_others_and_to_the_runbooks(made: dict[str, Any]) -> None:
    others, runbooks = made["links"]
    assert others["type"] == "dashboards"
    assert others["tags"] == made["tags"] == ["vllmd"]
    assert runbooks["url"] == "http://$instance/runbooks/"


@pytest.mark.parametrize("made", BUILT.values(), ids=BUILT)
def test_failures_and_xids_are_marked_when_they_were(made: dict[str, Any]) -> None:
    failures, xids = made["annotations"]["list"]
    assert "{{cause}}" in failures["titleFormat"]
    assert "{{xid}}" in xids["titleFormat"]
    for mark in (failures, xids):
        assert mark["useValueForTime"]
        assert mark["expr"].startswith("1000 * vllmd_"), "milliseconds"
        assert "_timestamp_seconds{" in mark["expr"]


def test_identifiers_are_unique_and_short() -> None:
    uids = [made["uid"] for made in BUILT.values()]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)
