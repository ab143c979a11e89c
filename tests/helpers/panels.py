"""The panels of a dashboard, as Grafana gets it."""

from collections.abc import Iterator, Mapping
from typing import Any


def every_panel(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels of a dashboard, those of closed rows too."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel
