"""Faults of alerts, and what is complained of in their timelines; promtool plays them elsewhere."""

from collections.abc import Mapping

import attrs
import pytest

from tests.helpers.each import of_each
from tests.timelines.faults import every_fault
from tests.timelines.outcome import Outcome, complaints
from tests.timelines.promtool import Firing
from tests.timelines.scenes import Scene, scenes, series
from tests.timelines.signals import Alike, Fault, bursts, counter, gauge, stamp
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.rules import AlertSeverity

FIRES = Firing(5, 59, 55)
ON = ("fires", "gap-before", "gap-while", "restarted", "reset", "flaps")
WELL = dict.fromkeys(ON, FIRES) | {"renamed": Firing(5, 9, 5)}
FAULT = Fault(
    "VllmdAdapterNotLoaded",
    "it is so",
    [
        gauge("vllmd_x", 1, 0, vllmd_engine="chat"),
        counter("vllmd_y_total", 0, 2),
        bursts("vllmd_z_total", 7),
        stamp("vllmd_s_seconds"),
    ],
    Alike("it is not", [gauge("vllmd_x", 1, 1, vllmd_engine="chat")]),
    before=2,
    lasts=10,
    after=2,
)


def played(fault: Fault = FAULT) -> dict[str, Scene]:
    return {scene.host: scene for scene in scenes(fault, 5)}


def values(scene: str) -> dict[str, list[float | None]]:
    return {name.partition("{")[0]: each for name, each in series(played()[scene], FAULT)}


def test_every_alert_has_its_fault() -> None:
    wanted = [alert.name for alert in every_alert() if alert.severity is not AlertSeverity.NONE]
    assert sorted(fault.alert for fault in every_fault()) == sorted(wanted)


@of_each(every_fault(), lambda fault: fault.alert)
def test_what_looks_alike_is_another_thing(fault: Fault) -> None:
    def shown(alike: bool) -> list[tuple[object, ...]]:
        return [
            (each.name, each.labels, each.stamp, *(each.value(m) for m in range(30)))
            for each in (fault.alike.signals if alike else fault.signals)
        ]

    assert shown(True) != shown(False)


def test_scenes_are_those_that_a_fault_can_have() -> None:
    every = {"fires", "short", "gap-before", "gap-while", "reboot", "renamed", "reset", "alike"}
    every |= {"restarted", "flaps"}
    assert set(played()) == every
    plain = attrs.evolve(FAULT, signals=[gauge("vllmd_x", 1, 0)], gaps=False)
    assert set(played(plain)) == {"fires", "short", "reboot", "flaps", "alike"}


def test_series_show_the_fault_from_its_first_minute_to_its_last() -> None:
    found = values("fires")
    assert found["vllmd_x"] == [1, 1, *[0] * 10, 1, 1]
    assert found["vllmd_y_total"][:5] == [0, 0, 2, 4, 6]
    assert found["vllmd_z_total"] == [0, 0, *[7] * 12]
    assert found["vllmd_s_seconds"] == [None, None, *[120] * 10, None, None]
    assert found["up"] == [1] * 14


def test_scrape_that_fails_leaves_no_series_but_up() -> None:
    found = values("gap-before")
    assert [name for name, each in found.items() if each[4] is None] == [
        "vllmd_x",
        "vllmd_y_total",
        "vllmd_z_total",
        "vllmd_s_seconds",
        "vllmd_engine_wanted",
        "vllmd_engine_state",
        "vllmd_gpu_up",
    ]
    assert found["up"] == [1, 1, 1, 1, 0, *[1] * 9]


def test_reset_lets_counters_begin_anew_and_nothing_else() -> None:
    found = values("reset")
    assert found["vllmd_y_total"][8:11] == [14, 2, 4]
    assert found["vllmd_x"] == values("fires")["vllmd_x"]


def test_daemon_that_is_restarted_is_away_for_a_scrape_and_counts_anew() -> None:
    found = values("restarted")
    assert found["vllmd_y_total"][8:12] == [14, None, 2, 4]
    assert found["vllmd_x"][8:12] == [0, None, 0, 0]


def test_what_comes_and_goes_is_there_for_two_samples_and_then_not() -> None:
    found = values("flaps")
    assert found["vllmd_x"] == [1, 1, *[0, 0, 1, 1] * 2, 0, 0, 1, 1]
    assert found["vllmd_y_total"][:8] == [0, 0, 2, 4, 4, 4, 6, 8]


def test_renamed_engine_ends_and_another_one_is_well() -> None:
    found = dict(series(played()["renamed"], FAULT))
    old = found['vllmd_x{vllmd_engine="chat", instance="renamed"}']
    new = found['vllmd_x{vllmd_engine="renamed", instance="renamed"}']
    assert old == [1, 1, *[0] * 7, *[None] * 5]
    assert new == [*[None] * 9, *[1] * 5]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"fires": Firing(4, 59, 56)}, "it is to wait 5m, and fires after 4 min"),
        ({"short": Firing(6, 6, 1)}, "short: fires after 6 min"),
        ({"reboot": Firing(6, 6, 1)}, "reboot: fires after 6 min"),
        ({"alike": Firing(6, 6, 1)}, "alike: fires after 6 min"),
        ({"fires": Firing(5, 59, 50)}, "fires: with breaks"),
        ({"fires": Firing(5, 119, 115)}, "fires: it does not end"),
        ({"gap-before": Firing(9, 59, 51)}, "gap-before: fires after 9 min instead of 5"),
        ({"gap-while": Firing(5, 59, 54)}, "gap-while: it resolves, and fires again"),
        ({"reset": None}, "reset: silent"),
        ({"restarted": Firing(5, 59, 54)}, "restarted: it resolves, and fires again"),
        ({"renamed": Firing(5, 20, 16)}, "renamed: fires for 14 min more"),
        ({"flaps": Firing(5, 59, 30)}, "flaps: it resolves, and fires again, for 25 min in all"),
    ],
)
def test_complaint_is_made(changed: Mapping[str, Firing | None], words: str | None) -> None:
    fault = attrs.evolve(FAULT, lasts=60, after=60, before=20)
    found = {name: each for name, each in {**WELL, **changed}.items() if each is not None}
    said = list(complaints(Outcome(fault, played(fault), found)))
    assert words in said if words else said == []


@pytest.mark.parametrize(
    ("alert", "why", "words"),
    [
        ("VllmdGpuLost", "", ["flaps: silent"]),
        ("VllmdGpuLost", "another one tells", []),
        ("VllmdAdapterNotLoaded", "", []),
    ],
)
def test_critical_fault_that_comes_and_goes_is_told_or_says_why_not(
    alert: str, why: str, words: list[str]
) -> None:
    fault = attrs.evolve(FAULT, alert=alert, lasts=60, after=60, before=20, flapping=why)
    found = {name: each for name, each in WELL.items() if name != "flaps"}
    assert list(complaints(Outcome(fault, played(fault), found))) == words
