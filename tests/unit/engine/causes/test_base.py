from vllmd.engine.causes.base import MAX_LINE, Cause, Facts, Kind, Rank, bare, evidence

CAUSE = Cause(
    "c",
    Kind.TRANSIENT,
    "It broke.",
    "Mend it.",
    rank=Rank.STATED,
    signatures=("broke [0-9]+",),
    labels=frozenset({"SIGKILL"}),
)
LINE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] ValueError: broke 7"


def test_find_by_a_line_has_it_as_evidence() -> None:
    found = CAUSE.find(Facts("1", ("hello", LINE, LINE)))
    assert found is not None
    assert found.evidence == ("ValueError: broke 7",)


def test_find_by_how_it_ended_needs_no_line() -> None:
    assert CAUSE.find(Facts("SIGKILL")) is not None
    assert CAUSE.find(Facts("0", ("hello",))) is None


def test_evidence_is_bounded() -> None:
    lines = tuple(f"broke {n}" for n in range(9))
    assert evidence(lines, CAUSE.signatures) == ("broke 0", "broke 1", "broke 2")
    assert evidence(lines, ()) == ()
    assert len(bare("x" * 9999)) == MAX_LINE
