"""Cores that shut down in order, and those that died beside or after them."""

import pytest

from vllmd.engine.log_reading.cores import gone_in_order
from vllmd.engine.log_reading.entries import read_entries

GONE = "Engine core proc EngineCore_DP{} died unexpectedly, shutting down client."
UNNAMED = "Engine core process died unexpectedly"


def said(rank: int, pid: int, what: str) -> str:
    return f"(EngineCore_DP{rank} pid={pid}) INFO 05-12 11:36:00 [core.py:1224] {what}"


DOWN = said(1, 971, "Shutdown complete")
WORKS = said(0, 970, "Initializing a V1 LLM engine")


@pytest.mark.parametrize(
    ("lines", "gone", "in_order"),
    [
        ([], UNNAMED, False),
        ([DOWN], UNNAMED, True),
        ([WORKS, DOWN], UNNAMED, False),
        ([WORKS, DOWN], GONE.format(1), True),
        ([WORKS, DOWN], GONE.format(0), False),
        ([DOWN, said(1, 981, "Initializing a V1 LLM engine")], GONE.format(1), False),
        (["INFO 05-12 11:36:00 [core.py:1224] Shutdown complete"], GONE.format(0), True),
        ([DOWN], "what else", False),
    ],
)
def test_only_the_core_that_said_so_shut_down_in_order(
    lines: list[str], gone: str, in_order: bool
) -> None:
    assert gone_in_order(read_entries(lines))(gone) is in_order
