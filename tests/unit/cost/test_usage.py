import pytest

from vllmd.cost.usage import Activity, Counters, HourUsage, Usage, from_json, to_json, total


def test_counters_that_fell_began_anew() -> None:
    before = Counters(10, 5, 20, 2)
    assert Counters(15, 5, 30, 3).since(before) == Counters(5, 0, 10, 1)
    assert Counters(4, 1, 30, 3).since(before) == Counters(4, 1, 10, 1)
    assert not Counters()
    assert Counters(requests=1)


def test_usage_adds_up() -> None:
    one = Usage(1, 2, 3, 4, 5, 6, 7)
    assert total([one, one]) == Usage(2, 4, 6, 8, 10, 12, 14)
    assert total([]) == Usage()
    assert one.tokens == 10


def test_a_row_is_read_as_it_was_written() -> None:
    slot, usage = HourUsage(3600, "chat", Activity.IDLE), Usage(1, 2, 3, 4, 5, 6, 7)
    row = to_json(slot, usage)
    assert row["activity"] == "idle"
    assert from_json(row) == (slot, usage)


def test_a_row_of_an_older_version_has_no_sleep_and_one_without_time_is_no_row() -> None:
    row = to_json(HourUsage(3600, "chat", Activity.IDLE), Usage(1, 2, 3))
    for newer in ("asleep_ns", "freed_gpu_ns"):
        del row[newer]
    assert from_json(row)[1] == Usage(1, 2, 3)
    del row["gpu_ns"]
    with pytest.raises(KeyError, match="gpu_ns"):
        from_json(row)
