import pytest

from vllmd.engine.gpu_interface import GpuView, refuse_restart
from vllmd.errors import HeldError


async def test_without_a_reader_nothing_is_known() -> None:
    view = GpuView()
    answers = (view.fine(), view.has_room(), await view.holders(), view.busy(1))
    assert answers == (None,) * 4
    assert (view.memory_bytes(1), view.mismatch(), dict(view.seen(0.0))) == (None, None, {})
    refuse_restart(view, "chat")


def test_engine_that_serves_is_not_restarted_on_a_driver_that_was_changed() -> None:
    view = GpuView(mismatch=lambda: "the kernel runs 1, the library is 2")
    with pytest.raises(HeldError, match=r"chat serves.*the library is 2.*vllmd stop chat"):
        refuse_restart(view, "chat")
