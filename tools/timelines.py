"""Play the timelines of every alert by promtool: ``python -m tools.timelines``.

`make timelines` does. It writes dashboards/tests/timelines.json, of which `make generate` makes the
table in docs/reference/timelines.md, and told.json beside it, which a test hands to Alertmanager.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.timelines.beside import through
from tests.timelines.faults import every_fault
from tests.timelines.outcome import complaints, play

TESTS = Path(__file__).parents[1] / "dashboards" / "tests"
KEPT = TESTS / "timelines.json"
TOLD = TESTS / "told.json"
"""What of all alerts fires through each fault, as Alertmanager is sent it."""


def main() -> int:
    """Play them, and say what is wrong; `python -m tools.timelines NAME…` those alone."""
    wanted = set(sys.argv[1:])
    kept, sent = (json.loads(f.read_text()) if wanted and f.exists() else {} for f in (KEPT, TOLD))
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for fault in every_fault():
            if wanted and fault.alert not in wanted:
                continue
            outcome = play(fault, Path(folder))
            kept[fault.alert] = outcome.to_json()
            fires = outcome.firing["fires"]
            sent[fault.alert] = through(fault, fires.first, fires.last, Path(folder)).to_json()
            for complaint in complaints(outcome):
                print(f"{fault.alert}: {complaint}")
                wrong += 1
    _write(KEPT, kept)
    _write(TOLD, sent)
    return 1 if wrong else 0


def _write(path: Path, found: Mapping[str, Any]) -> None:
    """Write a line for each alert, in their order."""
    order = [fault.alert for fault in every_fault() if fault.alert in found]
    lines = [f"  {json.dumps(name)}: {json.dumps(found[name])}" for name in order]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    raise SystemExit(main())
