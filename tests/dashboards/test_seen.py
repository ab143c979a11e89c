"""Every dashboard of every scene, drawn by Grafana's components: is there what should be?"""

import pytest

from tests.dashboards.conftest import NAMES, Gallery
from tests.helpers.seen import findings
from vllmd.monitoring.dashboards import DASHBOARDS

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


@pytest.mark.parametrize("dashboard", DASHBOARDS)
@pytest.mark.parametrize("scene", NAMES)
def test_dashboard_shows_what_it_should(gallery: Gallery, scene: str, dashboard: str) -> None:
    drawn = gallery.draw(scene, dashboard)
    assert drawn.problems == []
    assert findings(drawn.panels, WORDS[scene]) == []
