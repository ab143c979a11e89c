import json

import pytest

from tests.helpers.make import DATA
from vllmd.installing.flags import read
from vllmd.installing.removed_flags import REMOVED, are_opposite, what_to_do

TABLE = read(json.loads((DATA / "flags" / "vllm-0.32-cpu.json").read_text()))


def test_removed_flags_are_none_of_the_newest_and_what_takes_their_place_is() -> None:
    assert TABLE is not None
    known = TABLE.by_name
    assert not [name for name in REMOVED if name in known]
    for advice in set(REMOVED.values()):
        for word in advice.replace(",", " ").split():
            if word.startswith("flags."):
                assert word.removeprefix("flags.") in known, advice


def test_what_to_do_takes_both_spellings_and_knows_only_flags_that_were() -> None:
    assert what_to_do("disable_log_requests").startswith("take the line out")
    assert what_to_do("disable-log-requets") == ""


@pytest.mark.parametrize(
    ("one", "other", "opposite"),
    [
        ("disable-log-requests", "enable-log-requests", True),
        ("no-enforce-eager", "enforce-eager", True),
        ("disable_x", "enable-x", True),
        ("enable-lora", "enable-lora", False),
        ("enforce-eagr", "enforce-eager", False),
    ],
)
def test_are_opposite(one: str, other: str, opposite: bool) -> None:
    assert are_opposite(one, other) is opposite
