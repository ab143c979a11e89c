"""Every dashboard of every scene, drawn by Grafana's components: is there what should be?"""

from typing import Any

import pytest

from tests.dashboards.conftest import NAMES, Gallery
from tests.helpers.fleet.gpus import TOTAL
from tests.helpers.fleet.scenes import SHOWN_MIN
from tests.helpers.fleet.storage import hour
from tests.helpers.seen import findings
from vllmd.monitoring.dashboards import DASHBOARDS
from vllmd.monitoring.dashboards.numbers import NUMBERS

WELL = frozenset(
    {
        "no alert fires",
        "nobody else holds GPU memory",
        "no engine waits for memory",
        "no GPU needs a hand",
        "none was reported",
        "none was closed",
        "none failed",
        "all work",
        "none",
        "vLLM does not show it, or no traffic",
        "the engine has no preload",
        "all engines serve",
        "no engine has a name in [fleet]",
        "no engine is of several hosts",
    }
)
"""What empty panels say where all is well."""
NO_GPU = frozenset(
    {
        "no GPU",
        "no engine has a GPU",
        "no engine has said it yet",
        "no engine has worked long enough",
        "not known of these GPUs",
        "the GPU does not answer",
        "no price is configured, or no GPU",
        "no GPU, or no traffic",
    }
)
NO_ADAPTER = frozenset(
    {"no adapter is configured", "no adapter is configured, or the engine does not serve"}
)
NO_TRAFFIC = frozenset(
    {
        "no traffic",
        "no spans arrive",
        "no spans are received",
        "no spans arrive, or no traffic",
        "no spans are received, or no traffic",
        "no price is configured, or no traffic",
        "no GPU, or no traffic",
    }
)
WORDS = {
    "one_gpu": WELL,
    "eight_gpus": WELL,
    "no_gpu": WELL | NO_GPU | NO_ADAPTER,
    "no_traffic": WELL | NO_TRAFFIC,
    "outage": WELL | NO_TRAFFIC | frozenset({"the engine does not serve"}),
    "three_hosts": WELL,
    "limits": WELL,
}
"""What empty panels may say, by scene."""


LOOKS = [(1280, "light"), (1920, "light"), (1280, "dark")]
OUTAGE = [
    (35.2, "chat failed cuda_out_of_memory"),
    (36.0, "gpu_lost 2"),
    (36.0, "xid 79 on GPU 2"),
    (36.2, "big failed gpu_fault"),
    (36.4, "chat started"),
    (37.0, "big started"),
    (38.2, "chat ready"),
    (38.9, "chat failed cuda_out_of_memory"),
    (39.4, "chat started"),
    (40.5, "chat adapter_failed sql"),
    (41.0, "config_refused"),
    (41.2, "chat ready"),
    (41.6, "chat failed cuda_out_of_memory"),
    (41.7, "chat held cuda_out_of_memory"),
]
"""Every event of the outage: at which minute, and what is said of it."""
WEEK_S = 7 * 86400


@pytest.mark.parametrize("dashboard", DASHBOARDS)
@pytest.mark.parametrize("scene", NAMES)
def test_dashboard_shows_what_it_should(gallery: Gallery, scene: str, dashboard: str) -> None:
    drawn = gallery.draw(scene, dashboard)
    assert drawn.problems == []
    assert findings(drawn.panels, WORDS[scene]) == []


@pytest.mark.every_look
@pytest.mark.parametrize("dashboard", DASHBOARDS)
@pytest.mark.parametrize("scene", NAMES)
@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_dashboard_shows_it_in_every_look(
    gallery: Gallery, scene: str, dashboard: str, width: int, theme: str
) -> None:
    drawn = gallery.draw(scene, dashboard, width=width, theme=theme)
    assert drawn.problems == []
    assert findings(drawn.panels, WORDS[scene]) == []


@pytest.mark.parametrize("scene", NAMES)
def test_first_screen_of_the_overview_is_whole_on_a_narrow_one(
    gallery: Gallery, scene: str
) -> None:
    look: dict[str, Any] = {"width": 1280, "theme": "light", "rows_open": False}
    drawn = gallery.draw(scene, "overview", whole=False, **look)
    assert drawn.problems == []
    assert findings(drawn.panels, WORDS[scene]) == []
    assert len([panel for panel in drawn.panels if panel["type"] == "stat"]) == 8


@pytest.mark.parametrize(
    ("title", "legend", "value"),
    [
        ("Serving", "all that are wanted", 3),
        ("Serving", "asleep", 1),
        ("Serving", "of {{of}} wanted", None),
        ("Not serving", "engines", 0),
        ("Not serving", "longest", None),
    ],
)
def test_engine_that_sleeps_is_none_that_is_missing(
    gallery: Gallery, title: str, legend: str, value: float | None
) -> None:
    (asked,) = [
        query.expr
        for panel in NUMBERS
        for query in panel.queries
        if (panel.title, query.legend) == (title, legend)
    ]
    assert gallery.value("eight_gpus", asked) == value


def test_memory_of_a_gpu_is_not_more_than_there_is(gallery: Gallery) -> None:
    """An engine ended, and another one came: what ended is not added to what is free."""
    drawn = gallery.draw("outage", "gpu", rows_open=False, name="rows-closed")
    pictures = [panel for panel in drawn.panels if panel["title"].startswith("GPU ")]
    assert len(pictures) == 2
    assert all(panel["axes"]["bytes"][1] <= 1.2 * TOTAL for panel in pictures)


@pytest.mark.parametrize("minute", [30, 50])
def test_numbers_of_an_engine_that_is_gone_are_not_its_last_ones(
    gallery: Gallery, minute: int
) -> None:
    """Grafana shows the last value that there was: each query has one at any time."""
    for panel in NUMBERS:
        for query in panel.queries:
            if not query.instant:
                found = gallery.found("flapping", query.expr.replace("$instance", "gone"), minute)
                wanted = 0.0 if panel.title == "Alerts" else -1.0
                assert [value for _, value in found] == [wanted], (panel.title, query.legend)


@pytest.mark.parametrize("zoom_s", [SHOWN_MIN * 60, WEEK_S], ids=["hour", "week"])
def test_every_event_is_marked_to_the_second_at_every_zoom(gallery: Gallery, zoom_s: int) -> None:
    shown = hour(NAMES.index("outage"))
    drawn = gallery.draw("outage", "overview", begin=shown.end - zoom_s, name=f"zoom-{zoom_s}")
    assert drawn.problems == []
    marked = sorted(
        (round((event["time"] / 1000 - shown.begin) / 60, 3), event["title"].strip())
        for event in drawn.events
        if shown.begin <= event["time"] / 1000 <= shown.end
    )
    assert marked == sorted(OUTAGE)
    graphs = [panel for panel in drawn.panels if panel["type"] == "timeseries" and panel["axes"]]
    assert graphs
    assert {panel["marks"] >= len(OUTAGE) for panel in graphs} == {True}
