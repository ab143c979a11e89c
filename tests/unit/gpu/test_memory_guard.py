from vllmd.gpu.memory_guard import LOW_S, REPEAT_S, MemoryGuard, MemoryHolder, Remedy

SMALL, LARGE = MemoryHolder("small", 5, 1.0), MemoryHolder("large", 9, 0.0)


def test_memory_that_is_low_for_a_moment_is_not_low() -> None:
    guard = MemoryGuard()
    for at, available in ((0.0, 1.0), (1.0, 1.0), (2.0, 10.0), (3.0, 1.0), (4.0, None), (5.0, 1.0)):
        assert not guard.is_low(available, 10.0, at)
    assert guard.is_low(1.0, 10.0, 5.0 + LOW_S)


def test_engine_that_holds_most_is_chosen_and_the_younger_of_equals() -> None:
    assert MemoryGuard().choose([SMALL, LARGE], 0.0) == (LARGE, Remedy.RESTART)
    unknown = [MemoryHolder("old", 0, 1.0), MemoryHolder("young", 0, 2.0)]
    assert MemoryGuard().choose(unknown, 0.0) == (unknown[1], Remedy.RESTART)


def test_engine_that_brings_it_about_again_is_stopped() -> None:
    guard = MemoryGuard()
    assert guard.choose([LARGE], 0.0) == (LARGE, Remedy.RESTART)
    assert guard.choose([SMALL], 1.0) == (SMALL, Remedy.RESTART)
    assert guard.choose([LARGE], REPEAT_S - 1) == (LARGE, Remedy.STOP)
    assert guard.choose([LARGE], 3 * REPEAT_S) == (LARGE, Remedy.RESTART)


def test_nobody_is_chosen_where_no_engine_holds_any() -> None:
    assert MemoryGuard().choose([], 0.0) is None
