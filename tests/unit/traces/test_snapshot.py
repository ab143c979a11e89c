from vllmd.traces.intake import IntakeState
from vllmd.traces.snapshot import TraceFigures


def test_figures_hold_what_is_kept() -> None:
    kept = IntakeState()
    figures = TraceFigures(kept, {"http": True}, {}, None)
    assert figures.state is kept
