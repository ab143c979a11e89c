"""Thresholds, words and overrides, as Grafana has them."""

from vllmd.cost.usage import Activity
from vllmd.monitoring.dashboards.looks import (
    ACTIVITIES,
    NO_IS_GOOD,
    YES_IS_GOOD,
    mapping,
    override,
    thresholds,
)


def test_thresholds_begin_without_a_bound() -> None:
    assert thresholds(NO_IS_GOOD)["steps"] == [
        {"color": "green", "value": None},
        {"color": "red", "value": 1},
    ]
    assert thresholds(YES_IS_GOOD)["steps"] == [
        {"color": "red", "value": None},
        {"color": "green", "value": 1},
    ]


def test_mapping_without_a_text_leaves_the_value_as_it_is() -> None:
    options = mapping({"0": ("no", "green"), "critical": ("", "red")})["options"]
    assert options["0"] == {"text": "no", "color": "green", "index": 0}
    assert options["critical"] == {"color": "red", "index": 1}


def test_override_names_its_matcher_and_properties() -> None:
    assert override("byName", "x", ("unit", "s")) == {
        "matcher": {"id": "byName", "options": "x"},
        "properties": [{"id": "unit", "value": "s"}],
    }


def test_everything_that_an_engine_does_has_a_colour() -> None:
    assert set(ACTIVITIES) == {str(activity) for activity in Activity}
