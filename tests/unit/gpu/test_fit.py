import re

import pytest

from tests.helpers.make import DATA
from tests.helpers.nvml import RECORDED
from vllmd.gpu.fit import (
    CONTEXT_BYTES,
    margin_bytes,
    needed_bytes,
    turns_bytes,
    weights_bytes,
)
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.util.units import GIB

MEMORY = RECORDED["MemoryInfo_v2"]["value"]


def test_needed_is_what_vllm_said_on_an_h200() -> None:
    """The log of a start that failed: "(69.63/139.8 GiB) … (0.7, 97.86 GiB)"."""
    log = (DATA / "engine-logs" / "h200-0.25-gpu-memory-held-by-orphan.log").read_text()
    match = re.search(r"\(([\d.]+)/([\d.]+) GiB\).*\(([\d.]+), ([\d.]+) GiB\)", log)
    assert match
    free, total, share, wanted = map(float, match.groups())
    needed = needed_bytes(MEMORY["total"], MEMORY["reserved"], share)
    assert needed / GIB == pytest.approx(wanted, abs=0.005)
    assert (MEMORY["total"] - MEMORY["reserved"]) / GIB == pytest.approx(total, abs=0.05)
    margin = margin_bytes(
        total=MEMORY["total"],
        reserved=MEMORY["reserved"],
        free=free * GIB + CONTEXT_BYTES,  # its own context was made already
        own=0,
        share=share,
    )
    assert margin < 0


def test_margin_counts_what_the_engine_itself_would_give_back() -> None:
    """Fill an empty GPU of 100 GiB with an engine at 0.9: what it takes it can take again."""
    memory = {"total": 101 * GIB, "reserved": GIB}
    empty = margin_bytes(**memory, free=100 * GIB, own=0, share=0.9)
    full = margin_bytes(**memory, free=10 * GIB, own=90 * GIB, share=0.9)
    assert empty == full == pytest.approx(10 * GIB - CONTEXT_BYTES)


def test_margin_falls_below_nothing_with_an_orphan() -> None:
    assert margin_bytes(total=101 * GIB, reserved=GIB, free=30 * GIB, own=0, share=0.9) < 0


def test_weights_are_taken_off_but_for_the_contexts_beside_them() -> None:
    assert weights_bytes([16 * GIB], gpus=1) == 16 * GIB - CONTEXT_BYTES
    assert weights_bytes([16 * GIB, 2 * GIB], gpus=1) == 18 * GIB - 2 * CONTEXT_BYTES
    assert weights_bytes([], gpus=1) == -CONTEXT_BYTES, "the process is still to be started"


@pytest.mark.parametrize(("gpus", "held_gib"), [(1, 15.0), (2, 17.4)])
def test_weights_that_are_kept_are_what_was_seen_on_h200s_with_what_is_beside_them(
    gpus: int, held_gib: float
) -> None:
    """14.4 GiB of weights; vLLM takes those off its share, and nothing of what is beside them."""
    held = [int(held_gib * GIB / gpus)]
    assert weights_bytes(held, gpus=gpus) * gpus / GIB == pytest.approx(14.4, rel=0.02)
    assert weights_bytes(held, gpus=gpus) * gpus / GIB < 14.4, "in doubt too little"


def test_turns_bytes_is_what_others_give_back_when_they_sleep() -> None:
    def of(engine: str, size: int) -> Holder:
        return Holder(1, size, Owner.ENGINE, engine, "vllm")

    held = [of("a", 60 * GIB), of("a", 10 * GIB), of("b", 2 * GIB), of("c", 50 * GIB)]
    assert turns_bytes(held, ["a"]) == 67 * GIB
    assert turns_bytes(held, ["b"]) == 0, "it sleeps already"
    assert turns_bytes(held, []) == 0
