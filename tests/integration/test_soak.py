"""Three minutes of `make soak`, which takes an hour."""

import json
from pathlib import Path

from tests.chaos.soak import soak, wrong
from tests.helpers.outcomes import Outcome

SECONDS = 180.0
FAULTS = 10


def test_three_minutes_of_faults_lose_nothing(tmp_path: Path, outcome: Outcome) -> None:
    """With no slopes: the pages of the last ten minutes are still being gathered."""
    report = soak(tmp_path, SECONDS, seed=35)
    del report["samples"]
    assert wrong(report, SECONDS) == [], json.dumps(report, indent=1)
    done, asked, scrapes = report["faults"], report["requests"], report["scrapes"]
    assert isinstance(done, dict)
    assert isinstance(scrapes, dict)
    assert sum(done.values()) >= FAULTS
    outcome(
        "three minutes of a fault every ten seconds: eight engines under load, spans, scrapes",
        f"{sum(done.values())} faults, {asked} requests, {scrapes['all']} scrapes: none lost by "
        "vllmd",
    )
