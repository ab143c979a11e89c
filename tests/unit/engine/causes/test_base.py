from vllmd.engine.causes.base import MAX_LINE, Cause, Facts, Frame, Kind, Rank, bare, number
from vllmd.engine.log_reading.reading import read_output

CAUSE = Cause(
    "c",
    Kind.TRANSIENT,
    "It broke.",
    "Mend it.",
    rank=Rank.STATED,
    signs={"broke [0-9]+": "a file"},
    unless="by intent",
    frames=(
        Frame("loader.py:load$", "^KeyError", "a file", elsewhere="hub.py:"),
        Frame("checks.py:check$", "^TypeError", "a file", raised=True),
    ),
    said={"shutdown asked": "a file"},
)
LINE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] ValueError: broke 7"


def found_in(*lines: str) -> str | None:
    reading = read_output(lines)
    (sign,) = reading.signs
    found = CAUSE.found(reading, [sign])
    return found.line if found else None


def test_found_is_the_line_without_who_said_it() -> None:
    assert found_in(LINE) == "ValueError: broke 7"


def test_found_is_nothing_where_the_message_is_of_another_cause() -> None:
    assert found_in(f"{LINE} by intent") is None


def test_found_knows_an_exception_by_where_it_was_raised() -> None:
    lines = ["Traceback (most recent call last):", '  File "x/loader.py", line 3, in load']
    assert found_in(*lines, "KeyError: 'w'") == "KeyError: 'w'"
    lines[1] = '  File "x/other.py", line 3, in load'
    assert found_in(*lines, "KeyError: 'w'") is None


def test_found_knows_what_a_file_raises_itself_from_what_it_calls() -> None:
    lines = ["Traceback (most recent call last):", '  File "x/checks.py", line 3, in check']
    assert found_in(*lines, "TypeError: no") == "TypeError: no"
    called = '  File "x/other.py", line 5, in read'
    assert found_in(*lines, called, "TypeError: no") is None


def test_found_is_nothing_where_it_was_raised_by_a_part_of_another_cause() -> None:
    lines = ["Traceback (most recent call last):", '  File "x/loader.py", line 3, in load']
    for name, found in (("other.py", "KeyError: 'w'"), ("hub.py", None)):
        raised = f'  File "x/{name}", line 5, in get'
        assert found_in(*lines, raised, "KeyError: 'w'") == found


def test_announced_finds_a_line_of_any_level() -> None:
    reading = read_output(["INFO 11-23 19:06:44 [a.py:1] shutdown asked by somebody"])
    assert CAUSE.announced(reading) == "shutdown asked by somebody"


def test_facts_are_read_once() -> None:
    facts = Facts("1", (LINE,))
    assert facts.reading is facts.reading


def test_bare_is_bounded_and_number_reads_a_group() -> None:
    assert len(bare("x" * 9999)) == MAX_LINE
    assert number(r"size (\d+)", "a size 12") == 12
    assert number(r"size (\d+)", "none") is None


def test_found_takes_who_called_a_kernel_for_where_it_was_raised() -> None:
    lines = ["Traceback (most recent call last):", '  File "x/checks.py", line 3, in check']
    called = '  File "/site-packages/torch/_ops.py", line 5, in __call__'
    assert found_in(*lines, called, "TypeError: no") == "TypeError: no"
