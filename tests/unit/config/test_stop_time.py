"""How long a stop may take."""

from vllmd.config.model import EngineConfig
from vllmd.config.stop_time import longest_stop_s

FAST = EngineConfig("a", "m", unready_s=0, drain_s=1, stop_grace_s=2)
SLOW = EngineConfig("b", "m", unready_s=5, drain_s=300, stop_grace_s=15)


def test_slowest_engine_counts() -> None:
    assert longest_stop_s([]) == 10
    assert longest_stop_s([FAST]) == 13
    assert longest_stop_s([FAST, SLOW]) == 330


def test_weights_end_after_their_engine() -> None:
    kept = EngineConfig("a", "m", unready_s=0, drain_s=1, stop_grace_s=2, preload=True)
    assert longest_stop_s([kept]) == 13 + 10 + 15 + 10
