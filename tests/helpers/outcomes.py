"""What became of a fault, noted by the test that made it: docs/reliability.md is made of this.

Each tier writes `build/outcomes/<tier>.json`; `make reliability` turns them into the document.
"""

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "build" / "outcomes"
Outcome = Callable[[str, str], None]


class Outcomes:
    """The notes of one tier; the newest of a test counts."""

    def __init__(self, tier: str) -> None:
        self._path = FOLDER / f"{tier}.json"

    def note(self, test: str, fault: str, outcome: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
            rows = json.loads(self._path.read_text()) if self._path.exists() else []
            rows = [row for row in rows if (row["test"], row["fault"]) != (test, fault)]
            rows.append({"test": test, "fault": fault, "outcome": outcome})
            self._path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def outcome_for(tier: str, request: pytest.FixtureRequest) -> Outcome:
    """Return what a test calls with a fault and its outcome, once it has shown it."""
    test = request.node.nodeid.split("[")[0]
    return lambda fault, outcome: Outcomes(tier).note(test, fault, outcome)
