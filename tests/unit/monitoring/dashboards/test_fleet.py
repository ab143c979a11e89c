import re

from tests.helpers.panels import every_panel
from vllmd.monitoring.dashboards.fleet import (
    HOST_WORDS,
    MEANT,
    MOST_HOSTS,
    NEVER,
    REFUSED,
    SILENT,
    build,
    host_state,
)
from vllmd.monitoring.dashboards.states import STATES
from vllmd.monitoring.records.replicas import WANTED


def test_host_state_has_a_word_and_a_colour_for_each_number_the_worst_last() -> None:
    assert list(HOST_WORDS) == [str(n) for n in range(len(STATES) + 4)]
    assert [HOST_WORDS[str(n)][0] for n in (SILENT, NEVER)] == ["silent", "never answered"]
    assert len({colour for _, colour in HOST_WORDS.values()}) >= len(HOST_WORDS) - 1
    for number in (SILENT, NEVER):
        assert f"+ {number}" in host_state()
    assert f"* {REFUSED} or" in host_state()


def test_replicas_are_counted_as_they_are_recorded() -> None:
    """By whether they take requests: one that answers wrong serves, and is not ready."""
    for panel in every_panel(build()):
        for target in panel["targets"]:
            found = target["expr"]
            assert found.count("vllmd_engine_up") == found.count("vllmd_engine_takes_requests")
    for series in re.findall(r"vllmd_[a-z_]+", WANTED):
        assert series in MEANT


def test_build_draws_no_line_for_each_of_hundreds_of_hosts() -> None:
    for panel in every_panel(build()):
        for target in panel["targets"]:
            if panel["type"] == "state-timeline":
                assert f"topk({MOST_HOSTS}, " in target["expr"]
            if panel["type"] == "timeseries":
                assert target["expr"].startswith(("sum by (state)", "count(", "topk(8, "))
