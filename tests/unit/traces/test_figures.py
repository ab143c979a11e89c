from vllmd.traces.figures import TraceFigures
from vllmd.traces.intake import Kept


def test_figures_hold_what_is_kept() -> None:
    kept = Kept()
    figures = TraceFigures(kept, {"http": True}, {}, None)
    assert figures.kept is kept
