"""The dashboard above hosts, drawn of three hosts and of three hundred."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dashboards.conftest import PICTURES, drawing
from tests.helpers.fleet.fleets import FLEETS
from tests.helpers.fleet.scenes import STEP_S
from tests.helpers.fleet.storage import hour
from tests.helpers.seen import findings
from tools.pictures import renderer
from tools.pictures.renderer import Drawn, View

NAMES = [make.__name__ for make in FLEETS]


class FleetGallery:
    """Draws that dashboard of a scene."""

    def __init__(self, browser: Any, url: str, prometheus: str) -> None:
        self._browser, self._url, self._prometheus = browser, url, prometheus

    def draw(self, scene: str, width: int) -> Drawn:
        shown = hour(NAMES.index(scene))
        view = View("fleet", shown.begin, shown.end, STEP_S, width=width)
        path = PICTURES / scene / f"fleet-{width}.png"
        return renderer.draw(self._browser, self._url, self._prometheus, view, path)


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetGallery]:
    with drawing(tmp_path_factory, FLEETS) as made:
        yield FleetGallery(*made)


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("scene", NAMES)
def test_fleet_of_any_size_is_shown_whole(fleets: FleetGallery, scene: str, width: int) -> None:
    drawn = fleets.draw(scene, width)
    assert drawn.problems == []
    assert findings(drawn.panels, frozenset()) == []
