"""What comes and goes: what tables, numbers and alerts say of it, minute by minute."""

import pytest

from tests.dashboards.conftest import Gallery
from tests.dashboards.test_seen import NO_GPU, NO_TRAFFIC, WELL
from tests.helpers.fleet.flapping import LOST_AT_MIN
from tests.helpers.seen import findings
from vllmd.monitoring.dashboards.gpu_health import NEEDS, SINCE

SCENE = "flapping"
SETTLED_MIN = range(38, 60)
"""From the third time on it is known that something comes and goes; an alert may wait minutes."""
TOLD = {
    ("VllmdGpuLost", "gpu-01:9840"),
    ("VllmdGpuReaderDown", "gpu-02:9840"),
    ("VllmdEngineHeld", "gpu-03:9840"),
    ("VllmdEngineRestartLoop", "gpu-03:9840"),
}
WORDS = WELL | NO_TRAFFIC | NO_GPU | {"the engine does not serve", "no adapter is configured"}
WORDS |= {"no adapter is configured, or the engine does not serve", "the engine does not run"}


def of(host: str, expr: str) -> str:
    return expr.replace("$instance", host)


@pytest.mark.parametrize(
    ("dashboard", "host", "width"),
    [
        *(("overview", host, 1920) for host in ("gpu-01", "gpu-02", "gpu-03")),
        ("overview", "gpu-03", 1280),
        ("gpu", "gpu-01", 1920),
        ("gpu", "gpu-02", 1280),
        ("engine", "gpu-03", 1920),
        ("itself", "gpu-02", 1920),
    ],
)
def test_dashboard_of_what_comes_and_goes_can_be_read(
    gallery: Gallery, dashboard: str, host: str, width: int
) -> None:
    chosen = {"instance": f"{host}:9840"}
    drawn = gallery.draw(SCENE, dashboard, variables=chosen, width=width, name=host)
    assert drawn.problems == []
    assert findings(drawn.panels, WORDS) == []


def test_each_fault_is_told_by_one_alert_that_goes_on(gallery: Gallery) -> None:
    """The daemon of gpu-02 starts anew in between, and counts anew: that is no fault."""
    # that of the Xid is kept quiet by that of the GPU: test_inhibition.py
    fire = (
        'ALERTS{alertstate="firing",severity="critical",alertname!="VllmdGpuXidFatal"} '
        'or ALERTS{alertstate="firing",alertname="VllmdGpuReaderDown"}'
    )
    for minute in SETTLED_MIN:
        found = gallery.found(SCENE, fire, minute)
        told = {(labels["alertname"], labels["instance"]) for labels, _ in found}
        assert told == TOLD, minute


def test_lost_gpu_says_since_when_and_that_it_was_not_the_first_time(gallery: Gallery) -> None:
    host = "gpu-01:9840"
    needs = {(m["gpu"], m["what"]) for m, _ in gallery.found(SCENE, of(host, NEEDS))}
    assert needs == {
        ("1", "does not answer: reboot, if it fell off the bus"),
        ("1", "comes and goes: look at its seat, power and heat"),
    }
    ((labels, seconds),) = gallery.found(SCENE, of(host, SINCE))
    assert (labels["gpu"], labels["what"]) == (
        "1",
        "does not answer: reboot, if it fell off the bus",
    )
    assert seconds == 60 * (60 - LOST_AT_MIN)
    assert gallery.found(SCENE, of(host, SINCE), LOST_AT_MIN - 1) == [], "it answers then"


def test_where_no_gpu_is_read_that_is_one_line_with_its_age(gallery: Gallery) -> None:
    host = "gpu-02:9840"
    (line,) = gallery.found(SCENE, of(host, NEEDS))
    assert line[0]["what"] == "are not read, all of them: 'vllmd gpu' says why"
    ((_, seconds),) = gallery.found(SCENE, of(host, SINCE))
    assert seconds == 60 * (60 - LOST_AT_MIN)
    assert gallery.found(SCENE, of(host, NEEDS), LOST_AT_MIN - 1) == [], "they are read then"


def test_counters_that_begin_anew_are_no_dip_and_no_peak(gallery: Gallery) -> None:
    """The daemon's own counts are rates over its restart, too."""
    cpu = 'rate(vllmd_engine_cpu_seconds_total{instance="gpu-02:9840"}[2m])'
    spans = 'rate(vllmd_span_requests_total{instance="gpu-02:9840"}[5m])'
    for expr, most in ((cpu, 2.0), (spans, 4.0)):
        for minute in range(40, 56):
            found = gallery.found(SCENE, expr, minute)
            assert found, (expr, minute)
            assert all(0 <= value < most for _, value in found), (expr, minute)
