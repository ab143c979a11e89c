import pytest

from vllmd.engine.process import asleep
from vllmd.engine.process.asleep import ANOTHER, Asleep


@pytest.mark.parametrize(
    "kept", [None, Asleep(2, "root", 1.5, 80, 2, settled=True), Asleep(1, ANOTHER, 2.0)]
)
def test_note_is_read_as_it_was_written(kept: Asleep | None) -> None:
    assert asleep.from_json(kept.to_json() if kept else None) == kept


def test_freed_is_known_only_if_both_sizes_are() -> None:
    assert Asleep(1, "root", 1.0, 80, 2).freed_bytes == 78
    assert Asleep(1, "root", 1.0, 80).freed_bytes is None
    assert not Asleep(1, ANOTHER, 1.0).ours
