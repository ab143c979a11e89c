"""Which pages are made of what."""

from pathlib import Path

from tools.reference.alerts import alerts
from tools.reference.causes import causes
from tools.reference.commands import commands
from tools.reference.configuration import configuration
from tools.reference.control_api.written import control, openapi
from tools.reference.events import events
from tools.reference.metrics import metrics
from tools.reference.states import states
from tools.reference.symptoms import symptoms
from tools.reference.timelines import timelines

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "reference"
BY_HAND = "index.md"
"""The one page of that folder that nothing is made of."""


def files() -> dict[Path, str]:
    """Return all pages."""
    return {
        FOLDER / "configuration.md": configuration(),
        FOLDER / "commands.md": commands(),
        FOLDER / "control-api.md": control(),
        FOLDER / "control-api.json": openapi(),
        FOLDER / "metrics.md": metrics(),
        FOLDER / "events.md": events(),
        FOLDER / "states.md": states(),
        FOLDER / "causes.md": causes(),
        FOLDER / "alerts.md": alerts(),
        FOLDER / "timelines.md": timelines(),
        DOCS / "troubleshoot.md": symptoms(),
    }
