from vllmd.gpu.host_memory_policy import LOW_S, REPEAT_S, HostMemoryPolicy, MemoryHolder, Remedy

SMALL, LARGE = MemoryHolder("small", 15, 1.0), MemoryHolder("large", 30, 0.0)
LOADING = MemoryHolder("large", 30, 0.0, serves=False)
TOTAL = 100.0


def test_memory_that_is_low_for_a_moment_is_not_low() -> None:
    guard = HostMemoryPolicy()
    for at, available in ((0.0, 1.0), (1.0, 1.0), (2.0, 10.0), (3.0, 1.0), (4.0, None), (5.0, 1.0)):
        assert not guard.is_low(available, 10.0, at)
    assert guard.is_low(1.0, 10.0, 5.0 + LOW_S)


def test_engine_that_holds_most_is_chosen_and_the_younger_of_equals() -> None:
    assert HostMemoryPolicy().choose([SMALL, LARGE], 1.0, TOTAL, 0.0) == (LARGE, Remedy.RESTART)
    equal = [MemoryHolder("old", 20, 1.0), MemoryHolder("young", 20, 2.0)]
    assert HostMemoryPolicy().choose(equal, 1.0, TOTAL, 0.0) == (equal[1], Remedy.RESTART)


def test_engine_that_brings_it_about_again_is_stopped() -> None:
    guard = HostMemoryPolicy()
    assert guard.choose([LARGE], 1.0, TOTAL, 0.0) == (LARGE, Remedy.RESTART)
    assert guard.choose([SMALL], 1.0, TOTAL, 1.0) == (SMALL, Remedy.RESTART)
    assert guard.choose([LARGE], 1.0, TOTAL, REPEAT_S - 1) == (LARGE, Remedy.STOP)
    assert guard.choose([LARGE], 1.0, TOTAL, 3 * REPEAT_S) == (LARGE, Remedy.RESTART)


def test_engine_that_has_not_served_since_is_never_stopped() -> None:
    guard = HostMemoryPolicy()
    for at in (0.0, 60.0, 120.0):
        assert guard.choose([LOADING], 1.0, TOTAL, at) == (LOADING, Remedy.RESTART)
    assert guard.choose([LARGE], 1.0, TOTAL, 180.0) == (LARGE, Remedy.STOP)


def test_nobody_is_chosen_where_no_engine_holds_what_would_help() -> None:
    for held in ((), (0, 0), (0, 4, 9)):
        holders = [MemoryHolder(str(n), size, n) for n, size in enumerate(held)]
        assert HostMemoryPolicy().choose(holders, 9.5, TOTAL, 0.0) is None, held


def test_engine_that_holds_what_is_missing_or_a_tenth_of_all_is_chosen() -> None:
    tenth, missing = MemoryHolder("a", 10, 0.0), MemoryHolder("b", 2, 0.0)
    assert HostMemoryPolicy().choose([tenth], 50.0, TOTAL, 0.0) == (tenth, Remedy.RESTART)
    assert HostMemoryPolicy().choose([missing], 1.5, TOTAL, 0.0) == (missing, Remedy.RESTART)
