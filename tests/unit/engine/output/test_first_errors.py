from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Facts
from vllmd.engine.output.first_errors import (
    FATAL_LINES,
    LINE_BYTES,
    WINDOW_LINES,
    WINDOWS,
    FirstErrors,
)
from vllmd.logs.counting import LevelCounts
from vllmd.logs.reader import Position

UP = "(APIServer pid=1) INFO:     Application startup complete."
CORE = "(EngineCore pid=2) ERROR 11-23 18:48:59 [core.py:1] "
FATAL = CORE + "EngineCore encountered a fatal error."
OOM = CORE + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
DUMP = CORE + "Dumping scheduler output for model execution: x"
ECHO = "(APIServer pid=1) ERROR 11-23 18:49:00 [async_llm.py:4] EngineDeadError: see above"
EARLY = CORE.replace("18:48:59", "08:00:00")
REFUSED = EARLY + "ValueError: LoRA rank 64 is greater than max_lora_rank 16."


def kept(*blocks: list[str], since: int = 0, printed: tuple[str, ...] = ()) -> list[str]:
    """Follow blocks of lines as an output does; returns what is known at the end."""
    errors, counts, offset = FirstErrors(), LevelCounts(), 0
    errors.begin(Position(1, since))
    for lines in blocks:
        block = "".join(f"{line}\n" for line in lines).encode()
        errors.add(counts.add(block), block, Position(1, offset))
        offset += len(block)
    return errors.before(printed)


def test_root_of_the_fatal_chain_survives_any_number_of_streams_that_fail_after_it() -> None:
    flood = [ECHO] * 15
    last = tuple(flood)
    lines = kept(
        [UP],
        [DUMP] * 150 + [FATAL] + [CORE + "  at work"] * 95 + [OOM],
        *[flood] * 2000,
        printed=last,
    )
    assert diagnose(Facts("0", tuple(lines))).cause == "cuda_out_of_memory"
    assert len(lines) < (WINDOWS + 1) * WINDOW_LINES + FATAL_LINES + len(last) + 2


def test_errors_that_the_engine_survived_are_no_cause_of_its_end() -> None:
    fine = ["(APIServer pid=1) INFO 11-23 18:48:58 [a.py:1] fine"] * WINDOW_LINES
    lines = kept([UP], *[[REFUSED], fine] * 9, [FATAL, OOM], [ECHO] * 400, printed=(ECHO,))
    assert diagnose(Facts("0", tuple(lines))).cause == "cuda_out_of_memory"
    assert sum(line == REFUSED for line in lines) <= WINDOWS + 1


def test_tracebacks_without_a_level_are_kept() -> None:
    raw = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "KeyError: 'w'"]
    assert kept([UP, *raw], printed=("last",))[-4:] == [*raw, "last"]


def test_what_is_among_the_last_lines_is_not_told_twice() -> None:
    lines = [OOM, CORE + "more", CORE + "end"]
    assert kept(lines, printed=tuple(lines)) == lines
    assert kept(lines, printed=tuple(lines[1:])) == lines


def test_lines_of_the_run_before_and_long_ones_are_left_out() -> None:
    old = [CORE + "old"]
    size = len(old[0]) + 1
    assert kept(old, [OOM], since=size) == [OOM]
    assert kept([*old, OOM], since=size) == [OOM]
    assert len(kept([CORE + "x" * 9999])[0]) == LINE_BYTES
