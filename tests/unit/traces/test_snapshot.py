from vllmd.traces.intake import Kept
from vllmd.traces.snapshot import TraceFigures


def test_figures_hold_what_is_kept() -> None:
    kept = Kept()
    figures = TraceFigures(kept, {"http": True}, {}, None)
    assert figures.kept is kept
