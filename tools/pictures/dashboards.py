"""The dashboards in docs/pictures: of scenes, drawn as their tests draw them."""

import tempfile
from pathlib import Path

from tests.helpers.browser import Browser
from tests.helpers.fleet.fleets import fleet_three
from tests.helpers.fleet.scenes import STEP_S, eight_gpus, outage
from tests.helpers.fleet.storage import hour, storing
from tools.pictures import renderer
from tools.pictures.renderer import View

ROOT = Path(__file__).parents[2]
WIDTH = 1280
SCENES = (outage, eight_gpus, fleet_three)
SHOWN = {
    "overview": outage,
    "fleet": fleet_three,
    "engine": outage,
    "gpu": outage,
    "gpu-eight": eight_gpus,
    "adapters-and-cost": eight_gpus,
    "itself": eight_gpus,
}
"""Which scene each picture is of."""


def draw(browser: Browser, folder: Path) -> None:
    """Write NAME.png of each.

    Raises: SystemExit: one could not be drawn as it is.
    """
    problems = []
    with (
        tempfile.TemporaryDirectory() as work,
        storing(Path(work) / "p", SCENES) as prometheus,
        renderer.served(renderer.built(), ROOT / "dashboards") as url,
    ):
        for name, scene in SHOWN.items():
            shown = hour(SCENES.index(scene))
            dashboard = name.removesuffix("-eight")
            view = View(
                dashboard,
                shown.begin,
                shown.end,
                STEP_S,
                width=WIDTH,
                rows_open=False,
            )
            drawn = renderer.draw(browser, url, prometheus, view, folder / f"{name}.png")
            problems += [f"{name}: {each}" for each in drawn.problems]
    if problems:
        raise SystemExit("\n".join(problems))
