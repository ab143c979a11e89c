from vllmd.surroundings import Surroundings


def test_surroundings_by_default_are_those_of_a_foreground_run() -> None:
    one, other = Surroundings(), Surroundings()
    assert not one.leaves_engines
    assert one.notifier.watchdog_s is None
    assert one.feed is not other.feed
    assert one.reloads is not other.reloads
