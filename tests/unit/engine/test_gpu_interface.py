import pytest

from vllmd.engine.gpu_interface import EngineGpus, refuse_restart
from vllmd.errors import HeldError


async def test_without_a_reader_nothing_is_known() -> None:
    view = EngineGpus()
    answers = (view.fine(), view.has_room(), await view.holders(), view.busy())
    assert answers == (None,) * 4
    assert not view.awaited()
    assert (view.shortage(), view.traces(0.0, 1.0)) == (None, None)
    assert (view.memory_bytes(), view.mismatch(), dict(view.seen(0.0))) == (None, None, {})
    refuse_restart(view, "chat")


class ChangedDriver(EngineGpus):
    def mismatch(self) -> str | None:
        return "the kernel runs 1, the library is 2"


def test_engine_that_serves_is_not_restarted_on_a_driver_that_was_changed() -> None:
    with pytest.raises(HeldError, match=r"chat serves.*the library is 2.*vllmd stop chat"):
        refuse_restart(ChangedDriver(), "chat")
