"""Write every dashboard's JSON beside its source: ``python -m dashboards.generate``."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dashboards import adapters_and_cost

FOLDER = Path(__file__).parent
DASHBOARDS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "adapters-and-cost.json": adapters_and_cost.build,
}


def text(build: Callable[[], dict[str, Any]]) -> str:
    """Return a dashboard as it is kept."""
    return json.dumps(build(), indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Write them all."""
    for name, build in DASHBOARDS.items():
        (FOLDER / name).write_text(text(build))


if __name__ == "__main__":
    main()
