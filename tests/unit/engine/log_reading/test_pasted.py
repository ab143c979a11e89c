import pytest

from vllmd.engine.log_reading.entries import read_entries
from vllmd.engine.log_reading.pasted import unpasted
from vllmd.engine.offline_diagnosis import diagnose_output

HEAD = "(Worker_TP0 pid=285) ERROR 05-30 19:59:18 [multiproc_executor.py:870] "
TRACE = [
    HEAD + "Traceback (most recent call last):",
    HEAD
    + '  File "/opt/venv/lib/python3.12/site-packages/vllm/distributed/utils.py", line 55, in f',
    HEAD + '    assert numerator % denominator == 0, "{} is not divisible by {}".format(',
    HEAD + '  File "/opt/venv/lib/python3.12/site-packages/vllm/model_executor/layers/linear.py", '
    "line 9, in g",
    HEAD + "AssertionError: 16 is not divisible by 3, which tensor parallelism asks for here",
]


def cut(lines: list[str], width: int) -> list[str]:
    return [line[at : at + width] for line in lines for at in range(0, len(line), width)]


@pytest.mark.parametrize("width", [100, 110, 132])
def test_unpasted_joins_what_a_terminal_cut_at_its_width(width: int) -> None:
    assert list(unpasted(cut(TRACE, width))) == TRACE


def test_unpasted_leaves_lines_that_nothing_cut() -> None:
    assert list(unpasted(TRACE)) == TRACE
    printed = ["a", TRACE[0], "  its own words, printed", *TRACE[1:]]
    assert list(unpasted(printed)) == printed
    assert list(unpasted([])) == []
    assert list(unpasted([*cut(TRACE, 100)[:2], "x" * 200])) == [*cut(TRACE, 100)[:2], "x" * 200]


def test_unpasted_leaves_a_log_of_many_lines() -> None:
    lines = cut(TRACE, 100) * 1000
    assert unpasted(lines) is lines


def test_unpasted_puts_records_that_were_put_on_one_line_on_their_own() -> None:
    assert list(unpasted([" ".join(TRACE)])) == TRACE
    other = HEAD + "it said (EngineCore pid=9) ERROR 05-30 19:59:18 [core.py:1] x"
    assert list(unpasted([other])) == [other]
    assert list(unpasted([HEAD + TRACE[0]])) == [HEAD + TRACE[0]], "a head that stands twice"


def test_a_cause_is_known_of_what_was_pasted_on_one_line_or_cut() -> None:
    for lines in (TRACE, cut(TRACE, 100), [" ".join(TRACE)]):
        found = diagnose_output(lines, 1)
        assert found.cause == "parallel_misfit"
        assert "16 is not divisible by 3" in found.evidence[0]


def test_a_process_keeps_its_name_behind_the_indent_of_a_document() -> None:
    (entry,) = read_entries(["      (EngineCore pid=7) ERROR 10-21 00:35:03 [core.py:708] x"])
    assert (entry.process, entry.level, entry.text) == ("EngineCore", "error", "x")


def test_a_lone_line_is_read_behind_the_words_of_whoever_shows_it() -> None:
    line = "# the error: (EngineCore pid=7) ERROR 10-21 00:35:03 [core.py:708] x"
    assert [entry.text for entry in read_entries([line])] == ["x"]
    assert [entry.text for entry in read_entries([line, "y"])] == [line, "y"]


def test_unpasted_takes_away_what_all_lines_are_indented_by() -> None:
    said = ["ValueError: Free memory is less", "than desired"]
    assert [*unpasted([f"    {line}" for line in said])] == said
    frames = ['  File "a.py", line 1, in f', "    return g()"]
    assert unpasted(frames) == frames
    code = ["    vllm/v1/a.py:10 in f", "    vllm.v1.engine.exceptions.EngineDeadError"]
    assert [*unpasted(code)] == ['  File "vllm/v1/a.py", line 10, in f', code[1]]


def test_frames_that_were_put_on_one_line_are_frames_again() -> None:
    line = (
        'File "/a/vllm/b.py", line 3, in f x = g(y) File "/a/vllm/c.py", line 4, in g return h() '
    )
    line += "ValueError: 3 of 4 ``` and so on"
    assert list(unpasted([line])) == [
        '  File "/a/vllm/b.py", line 3, in f',
        "    x = g(y)",
        '  File "/a/vllm/c.py", line 4, in g',
        "    return h()",
        "ValueError: 3 of 4",
    ]
    assert list(unpasted([HEAD + line])) == [HEAD + line]


def test_frames_that_somebody_shortened_are_frames() -> None:
    short = [
        "vllm/v1/core/sched.py:975  _build_jobs",
        "  assert len(a) == len(b)",
        "AssertionError",
    ]
    assert next(iter(unpasted(short))) == '  File "vllm/v1/core/sched.py", line 975, in _build_jobs'
    found = diagnose_output(short, 1)
    assert found.cause == "engine_bug"
    assert found.evidence == ("AssertionError (assert len(a) == len(b))",)
    for line in ("core.py:975 x", "vllm/v1/a.py:9] said", "vllm/v1/a.py:9 two words"):
        assert list(unpasted([line])) == [line]
