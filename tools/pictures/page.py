"""The picture of the page at `/`, as the browser of its tests draws it."""

from pathlib import Path

from tests.helpers.browser import Browser, Tab
from tests.helpers.status_scenes import SCENES
from tests.page.conftest import Served

SCENE = "restarted"
WIDTH, HEIGHT = 1280, 800
NO_TIME_PASSES = "performance.now = () => 1000"
"""Else it would say of a second more or less."""
DRAWN = "document.querySelector('.verdict') !== null && 'series' in shown"


def draw(browser: Browser, folder: Path) -> None:
    """Write page.png."""
    served = Served(SCENES[SCENE]())
    tab = Tab(browser)
    try:
        tab.look(WIDTH, HEIGHT)
        tab.send("Page.addScriptToEvaluateOnNewDocument", source=NO_TIME_PASSES)
        tab.open(served.url)
        tab.wait_for(DRAWN)
        tab.screenshot(folder / "page.png")
    finally:
        tab.close()
        served.stop()
