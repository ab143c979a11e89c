from vllmd.engine.gpu import GpuView


def test_without_a_reader_nothing_is_known() -> None:
    view = GpuView()
    answers = (view.fine(), view.has_room(), view.holders(), view.busy(1), view.memory_bytes(1))
    assert answers == (None,) * 5
    assert dict(view.seen(0.0)) == {}
