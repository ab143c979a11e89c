"""A slice of bench/starved_simulation.py, with fixed seeds."""

from pathlib import Path

import pytest

from tests.helpers.starved_host import HOUR_S, simulate

pytestmark = pytest.mark.long


@pytest.mark.parametrize(("seed", "gpus"), [(1, False), (2, False), (9, True), (11, True)])
def test_starved_host_blames_no_engine_that_is_well_and_misses_no_hang(
    tmp_path: Path, seed: int, gpus: bool
) -> None:
    found = simulate(tmp_path, seed, engines=8, hours=4, gpus=gpus)
    assert found.engine_s >= 32 * HOUR_S
    assert found.late_s > HOUR_S / 4
    assert (found.stalled, found.killed, found.missed) == ([], [], [])
    assert sum(map(len, found.found_s.values())) >= 5
    assert (found.by_gpus > 0) == gpus
