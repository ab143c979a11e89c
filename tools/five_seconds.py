"""Draw six outages for the five-second test: ``python -m tools.five_seconds [SEED]``.

Without a seed it draws one that nobody knows, and writes it beside the pictures, in
build/five-seconds: to be read when the answers are written down.
"""

import random
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.helpers.browser import browsing
from tests.helpers.fleet.outages import FAULTS, scene
from tests.helpers.fleet.scenes import STEP_S
from tests.helpers.fleet.storage import hour, storing
from tools.pictures import renderer
from tools.pictures.renderer import View

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "build" / "five-seconds"


def main() -> None:
    """Write 1.png to 6.png, the first screen of each outage, and the seed."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(10**6)
    scenes = [partial(scene, seed, number) for number in range(len(FAULTS))]
    TARGET.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        storing(Path(folder) / "p", scenes) as prometheus,
        renderer.served(renderer.built(), ROOT / "dashboards") as url,
        browsing(Path(folder)) as browser,
    ):
        for number in range(len(scenes)):
            shown = hour(number)
            view = View("overview", shown.begin, shown.end, STEP_S, rows_open=False)
            picture = TARGET / f"{number + 1}.png"
            problems = renderer.draw(browser, url, prometheus, view, picture, whole=False).problems
            if problems:
                raise SystemExit("\n".join(problems))
    (TARGET / "seed").write_text(f"{seed}\n")


if __name__ == "__main__":
    main()
