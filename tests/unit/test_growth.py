"""bench/growth: the page is made of what was measured, and nothing grows too steeply."""

import math
from xml.etree import ElementTree

import pytest

from bench.growth.__main__ import kept
from bench.growth.curve import LIMIT, Curve, Point, exponent, from_json
from bench.growth.written import ABOUT, PICTURE, files


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_exponent_is_the_power_of_the_last_points(power: float) -> None:
    points = [(n, 0.1 if n < 4 else 0.1 * n**power) for n in (1, 2, 4, 8, 16)]
    assert exponent(points) == pytest.approx(power)
    assert math.isnan(exponent(points[:1]))


def test_curve_is_read_as_it_was_kept() -> None:
    curve = Curve("engines", (Point(1, 0.2, 60.0), Point(2, 0.4, 61.5)))
    assert from_json(curve.to_json()) == curve
    assert curve.exponent == pytest.approx(1.0)


def test_page_and_picture_are_fresh() -> None:
    stale = [path.name for path, text in files(kept()).items() if path.read_text() != text]
    assert not stale, "run 'make generate'"


def test_every_curve_was_measured_to_its_end_and_none_is_too_steep() -> None:
    found = {each.name: each for each in kept()}
    assert set(found) == set(ABOUT)
    most = {name: curve.points[-1].count for name, curve in found.items()}
    assert most == {
        "engines": 16,
        "gpus": 16,
        "adapters, loaded": 1000,
        "adapters, kept": 1000,
        "hosts": 300,
        "events, written": 10_000_000,
        "events, asked": 10_000_000,
    }
    assert {name: c.exponent for name, c in found.items() if c.exponent > LIMIT} == {}


def test_picture_has_a_panel_for_each_curve() -> None:
    drawn = ElementTree.fromstring(PICTURE.read_text())
    titles = [each.text for each in drawn.iter() if each.get("class") == "title"]
    assert titles == [each.title for each in ABOUT.values()]
