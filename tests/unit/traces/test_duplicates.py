import weakref

from vllmd.traces.duplicates import SeenKeys


def test_add_tells_what_is_new_and_forgets_the_oldest() -> None:
    seen = SeenKeys(3)
    assert [seen.add(key) for key in "abab"] == [True, True, False, False]
    assert seen.add("c")
    assert seen.add("d")
    assert len(seen) == 3
    assert not seen.add("b")
    assert seen.add("a")


def test_a_million_keys_take_no_more_room() -> None:
    seen = SeenKeys(100)
    for number in range(10_000):
        seen.add(number)
    assert len(seen) == len(seen._keys) == 100


def test_key_itself_is_not_kept() -> None:
    class Key:
        """As long as an engine likes."""

    seen, key = SeenKeys(), Key()
    assert seen.add(key)
    assert not seen.add(key)
    left = weakref.ref(key)
    del key
    assert left() is None
