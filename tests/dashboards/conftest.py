"""One browser, one renderer and one Prometheus with all scenes, for every picture."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from tests.helpers.browser import Browser, browsing
from tests.helpers.fleet.flapping import flapping
from tests.helpers.fleet.scenes import SCENES, SHOWN_MIN, STEP_S
from tests.helpers.fleet.storage import Make, Shown, hour, storing
from tests.helpers.site import needs
from tools.pictures import renderer
from tools.pictures.renderer import Drawn, View

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build" / "dashboards"
NAMES = [make.__name__ for make in SCENES]
STORED = (*SCENES, flapping)
"""One more, of what comes and goes, is looked at by tests of its own."""


def shown_hour(scene: str) -> Shown:
    """Return the hour of a scene."""
    return hour([make.__name__ for make in STORED].index(scene))


@attrs.frozen
class Gallery:
    """Draws any dashboard of any scene, into build/dashboards."""

    browser: Browser
    renderer: str
    prometheus: str

    def draw(
        self, scene: str, dashboard: str, *, whole: bool = True, name: str = "", **look: Any
    ) -> Drawn:
        """Draw one; `look` is of `View`."""
        shown = shown_hour(scene)
        values = {"begin": shown.begin, "end": shown.end, **look}
        view = View(dashboard=dashboard, scrape_s=STEP_S, **values)
        kind = name or ("whole" if whole else "first-screen")
        path = PICTURES / scene / f"{dashboard}-{view.width}-{view.theme}-{kind}.png"
        return renderer.draw(self.browser, self.renderer, self.prometheus, view, path, whole=whole)

    def value(self, scene: str, expr: str) -> float | None:
        """Return what a panel's query finds at the end of a scene; None if it finds nothing."""
        found = self.found(scene, expr)
        return found[0][1] if found else None

    def found(
        self, scene: str, expr: str, minute: float = SHOWN_MIN
    ) -> list[tuple[dict[str, str], float]]:
        """Return the series that a panel's query finds then: labels and value."""
        every = re.sub(r"\$(job|instance|engine|gpu)", ".*", expr)
        every = every.replace("$__rate_interval", "2m").replace("$__range", "1h")
        at = shown_hour(scene).begin + 60 * minute
        asked: dict[str, str | float] = {"query": every, "time": at}
        url = f"{self.prometheus}/api/v1/query"
        answer = httpx.get(url, params=asked, trust_env=False).json()
        assert answer["status"] == "success", (every, answer)
        series = answer["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in series]


@contextmanager
def drawing(
    folders: pytest.TempPathFactory, scenes: Sequence[Make]
) -> Iterator[tuple[Browser, str, str]]:
    """Yield a browser, and the addresses of the renderer and of a Prometheus with these scenes."""
    needs("prometheus")
    with (
        storing(folders.mktemp("scenes") / "p", scenes) as prometheus,
        renderer.served(renderer.built(), ROOT / "dashboards") as url,
        browsing(folders.mktemp("chromium")) as browser,
    ):
        yield browser, url, prometheus


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with drawing(tmp_path_factory, STORED) as made:
        yield Gallery(*made)
