import pytest

from vllmd.demo.weight_cache import MEMORY_BYTES, Stub
from vllmd.demo.weights import answer

KEY = {"checkpoint": "m", "tp_size": 2, "tp_rank": 0}


def stub(**fields: object) -> Stub:
    made = Stub()
    made.__setstate__(fields)
    return made


def test_memory_and_release_are_answered() -> None:
    assert answer({"cmd": "get_memory"}, KEY) == {"status": "ok", "memory_bytes": MEMORY_BYTES}
    assert answer({"cmd": "release"}, KEY) == {"status": "ok"}


def test_state_is_for_who_asks_for_the_same_weights() -> None:
    found = answer({"cmd": "get_state", "cache_config": stub(**KEY, dtype="half")}, KEY)
    assert (found["status"], found["entries"]) == ("ok", {})
    found = answer({"cmd": "get_state", "cache_config": stub(**{**KEY, "tp_size": 4})}, KEY)
    assert found == {"status": "mismatch", "fields": ["tp_size"]}


@pytest.mark.parametrize("request_", [{}, {"cmd": "get_state"}, {"cmd": "shout"}])
def test_what_makes_no_sense_is_an_error(request_: dict[str, object]) -> None:
    assert answer(request_, KEY)["status"] == "error"
