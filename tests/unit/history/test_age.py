import hypothesis.strategies as st
import pytest
from hypothesis import given

from vllmd.history.age import Age, from_json
from vllmd.util.units import DAY_S

KEEP_S = 90 * DAY_S


def test_expired_is_what_came_before_so_much_time_was_counted() -> None:
    age = Age()
    for day in range(200):
        age.count(day * DAY_S)
        age.note(last_id=10 * day, keep_s=KEEP_S)
        assert age.expired(KEEP_S) == max(0, 10 * (day - 90))
    assert len(age.notes) == 91


def test_count_begins_anew_with_each_daemon_and_never_goes_back() -> None:
    age = Age()
    age.count(1_000_000.0)
    assert age.seconds == 0.0
    age.count(1_000_060.0)
    age.count(1_000_000.0)
    assert age.seconds == 60.0
    later = from_json(age.to_json())
    later.count(5.0)
    later.count(6.0)
    assert later.seconds == 61.0


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "7", "{", "[" * 100_000, '{"seconds": 1}'),
        '{"seconds": 1e999, "notes": []}',
        '{"seconds": 1, "notes": [[5, 6]]}',
        '{"seconds": 9, "notes": [[5, 6], [4, 7]]}',
        '{"seconds": "x", "notes": [[1]]}',
    ],
)
def test_from_json_damaged_begins_anew_and_expires_nothing(text: str | None) -> None:
    age = from_json(text)
    assert age.expired(0.0) == 0


@pytest.mark.long
@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 5), st.booleans()), max_size=60))
def test_expired_is_never_younger_than_is_kept(steps: list[tuple[float, int, bool]]) -> None:
    """Events with the true time of each, days that pass, daemons that start anew."""
    age, now, last_id = Age(), 0.0, 0
    written: dict[int, float] = {}
    for days, count, restarted in steps:
        now += days * DAY_S
        if restarted:
            age = from_json(age.to_json())
        for _ in range(count):
            last_id += 1
            written[last_id] = now
        age.count(now)
        age.note(last_id, KEEP_S)
        expired = age.expired(KEEP_S)
        assert all(now - written[each] >= KEEP_S - 1e-3 for each in written if each <= expired)
