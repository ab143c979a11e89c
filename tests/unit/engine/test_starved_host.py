"""A slice of bench/starved_simulation.py, with fixed seeds."""

from pathlib import Path

import pytest

from tests.helpers.starved_host import HOUR_S, simulate

pytestmark = pytest.mark.long


@pytest.mark.parametrize("seed", [1, 2])
def test_starved_host_blames_no_engine_that_is_well_and_misses_no_hang(
    tmp_path: Path, seed: int
) -> None:
    found = simulate(tmp_path, seed, engines=8, hours=4)
    assert found.engine_s >= 32 * HOUR_S
    assert found.late_s > HOUR_S / 4
    assert (found.stalled, found.killed, found.missed) == ([], [], [])
    assert sum(map(len, found.found_s.values())) >= 5
