"""Grafana's dashboards: each answers the questions that alerts raise, from top to bottom."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from vllmd.monitoring.dashboards import adapters_and_cost, engine, fleet, gpu, itself, overview

DASHBOARDS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "overview": overview.build,
    "fleet": fleet.build,
    "engine": engine.build,
    "gpu": gpu.build,
    "adapters-and-cost": adapters_and_cost.build,
    "itself": itself.build,
}
"""The name of each file, and what makes it."""


def text(build: Callable[[], dict[str, Any]]) -> str:
    """Return a dashboard as it is kept."""
    return json.dumps(build(), indent=1, sort_keys=True) + "\n"
