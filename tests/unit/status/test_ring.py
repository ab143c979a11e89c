from vllmd.status.ring import KEPT_S, POINTS, STEP_S, Ring


def test_ring_keeps_the_last_points_and_takes_no_more_memory() -> None:
    ring = Ring(["a", "b"])
    before = ring.size_bytes
    for n in range(POINTS + 7):
        ring.add(n * STEP_S, (float(n), None))
    now = (POINTS + 6) * STEP_S
    shown = ring.to_json(now, 1000.0)
    assert ring.size_bytes == before == POINTS * (8 + 2 * 4)
    assert [len(values) for values in shown.values()] == [POINTS] * 3
    assert shown["at"][-1] == now + 1000.0
    assert shown["a"][0] == 7.0
    assert set(shown["b"]) == {None}


def test_ring_shows_nothing_that_is_too_old() -> None:
    ring = Ring(["a"])
    ring.add(0.0, (1.0,))
    ring.add(KEPT_S, (2.0,))
    assert ring.to_json(KEPT_S + 1, 0.0)["a"] == [2.0]
    assert ring.to_json(3 * KEPT_S, 0.0) == {"at": [], "a": []}


def test_ring_wants_no_point_right_after_another() -> None:
    ring = Ring(["a"])
    assert ring.is_due(0.0)
    ring.add(0.0, (1.0,))
    assert not ring.is_due(1.0)
    assert ring.is_due(STEP_S)
