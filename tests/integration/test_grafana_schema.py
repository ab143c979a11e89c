"""The dashboards by Grafana's own types, from 10.4 to 13; no Grafana itself is to be had here."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.grafana_schema import RELEASES, complaints
from tests.helpers.panels import every_panel
from vllmd.monitoring.dashboards import DASHBOARDS

BUILT = {name: build() for name, build in DASHBOARDS.items()}


@pytest.mark.parametrize("release", RELEASES)
def test_dashboards_are_what_grafana_publishes(release: str, tmp_path: Path) -> None:
    assert complaints(BUILT, release, tmp_path) == ""


def test_types_find_what_is_wrong(tmp_path: Path) -> None:
    """Each of these must be found, or the test above says nothing."""
    broken: dict[str, Any] = {"gpu": copy.deepcopy(BUILT["gpu"])}
    panels = [panel for panel in every_panel(broken["gpu"]) if panel["type"] == "timeseries"]
    panels[0]["fieldConfig"]["defaults"]["min"] = "zero"
    panels[1]["options"]["legend"]["placement"] = "middle"
    panels[2]["targets"][0]["format"] = "graph"
    panels[3]["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] = "pile"
    broken["engine"] = {**BUILT["engine"], "titel": "x"}
    found = complaints(broken, RELEASES[-1], tmp_path)
    assert "Type 'string' is not assignable to type 'number'" in found
    for word in ("middle", '"graph"', "pile", "titel"):
        assert word in found, (word, found)
