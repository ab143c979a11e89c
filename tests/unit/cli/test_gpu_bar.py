from typing import Any

from vllmd.cli import gpu_bar, terminal
from vllmd.gpu.memory_shares import Owner

OWNERS: list[dict[str, Any]] = [
    {"owner": "engine", "engine": "chat", "bytes": 6 * 2**30},
    {"owner": "orphan", "engine": "code", "bytes": 2**30},
    {"owner": "foreign", "engine": None, "bytes": 0},
    {"owner": "free", "engine": None, "bytes": 3 * 2**30},
]


def test_every_owner_has_a_mark_and_weights_are_told_from_their_engine() -> None:
    assert set(gpu_bar._MARKS) == set(map(str, Owner))
    kept = [{"owner": "weights", "engine": "chat", "bytes": 2**30}, *OWNERS]
    assert gpu_bar.in_words(kept).startswith("weights of chat 1.0 GiB · chat 6.0 GiB")


def test_bar_is_as_wide_as_it_is_told_and_in_shares() -> None:
    assert terminal._CODE.sub("", gpu_bar.bar(OWNERS, 10)) == "██████▓···"
    assert gpu_bar.bar([], 10) == ""


def test_words_name_an_orphan_as_one_and_leave_out_nothing_but_nothing() -> None:
    words = "chat 6.0 GiB · orphan code 1.0 GiB · free 3.0 GiB"
    assert gpu_bar.in_words(OWNERS) == words
    assert terminal._CODE.sub("", gpu_bar.in_colours(OWNERS)) == words
    assert [terminal._CODE.sub("", line) for line in gpu_bar.in_lines(OWNERS, 34)] == [
        "chat 6.0 GiB · orphan code 1.0 GiB",
        "free 3.0 GiB",
    ]
    assert len(gpu_bar.in_lines(OWNERS, 33)) == 3
    assert gpu_bar.in_words([{"owner": "unattributed", "engine": None, "bytes": -(2**20)}]) == (
        "unattributed -1.0 MiB"
    )
