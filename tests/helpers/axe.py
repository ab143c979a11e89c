"""Whether a page can be read and used by everybody: axe-core, run in the page."""

from pathlib import Path
from typing import Any

from tests.helpers.browser import Tab
from tests.helpers.npm import installed

SOURCE = Path(__file__).parents[1] / "axe"
_RUN = "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"


def script() -> str:
    """Return axe-core; it is fetched once, by npm, by its hash."""
    return (installed(SOURCE) / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations(tab: Tab, axe: str) -> list[str]:
    """Return what axe finds in a page: contrast, names, roles, order of headings, landmarks."""
    tab.value(axe + "; true")
    found: list[dict[str, Any]] = tab.value(_RUN)
    return [
        f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']][:3]}"
        for each in found
    ]
