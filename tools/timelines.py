"""Play the timelines of every alert by promtool: ``python -m tools.timelines``.

`make timelines` does. It writes dashboards/tests/timelines.json, of which `make generate` makes the
table in docs/reference/timelines.md.
"""

import json
import sys
import tempfile
from pathlib import Path

from tests.timelines.faults import every_fault
from tests.timelines.outcome import complaints, play

KEPT = Path(__file__).parents[1] / "dashboards" / "tests" / "timelines.json"


def main() -> int:
    """Play them, and say what is wrong; `python -m tools.timelines NAME…` those alone."""
    wanted = set(sys.argv[1:])
    kept = json.loads(KEPT.read_text()) if wanted and KEPT.exists() else {}
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for fault in every_fault():
            if wanted and fault.alert not in wanted:
                continue
            outcome = play(fault, Path(folder))
            kept[fault.alert] = outcome.to_json()
            for complaint in complaints(outcome):
                print(f"{fault.alert}: {complaint}")
                wrong += 1
    order = [fault.alert for fault in every_fault()]
    lines = [f"  {json.dumps(name)}: {json.dumps(kept[name])}" for name in order if name in kept]
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
