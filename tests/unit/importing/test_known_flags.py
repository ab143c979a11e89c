"""How many values a flag takes; tests/engine holds it against vLLM's parser."""

from vllmd.importing.known_flags import (
    ALIASES,
    LISTS,
    NAMES,
    OLD_LISTS,
    OLD_SWITCHES,
    REPEATED,
    SINGLES,
    SWITCHES,
)
from vllmd.installing.removed_flags import REMOVED


def test_no_flag_is_of_two_kinds() -> None:
    kinds = [SWITCHES, SINGLES, OLD_SWITCHES, LISTS, OLD_LISTS, REPEATED, ALIASES.keys()]
    assert sum(map(len, kinds)) == len(frozenset().union(*kinds))


def test_no_flag_of_now_was_removed() -> None:
    assert NAMES
    assert not NAMES & REMOVED.keys()
