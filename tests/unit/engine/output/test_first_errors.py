from itertools import chain

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Facts
from vllmd.engine.output.first_errors import (
    FATAL_BYTES,
    FATAL_LINES,
    LINE_BYTES,
    MAX_HINTS,
    WINDOW_BYTES,
    WINDOW_LINES,
    WINDOWS,
    FirstErrors,
)
from vllmd.logs.reader import Position

READY = "INFO:     Application startup complete."
UP = "(APIServer pid=1) INFO:     Application startup complete."
CORE = "(EngineCore pid=2) ERROR 11-23 18:48:59 [core.py:1] "
FATAL = CORE + "EngineCore encountered a fatal error."
OOM = CORE + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
DUMP = CORE + "Dumping scheduler output for model execution: x"
ECHO = "(APIServer pid=1) ERROR 11-23 18:49:00 [async_llm.py:4] EngineDeadError: see above"
EARLY = CORE.replace("18:48:59", "08:00:00")
REFUSED = EARLY + "ValueError: LoRA rank 64 is greater than max_lora_rank 16."


def kept(*blocks: list[str], since: int = 0, printed: tuple[str, ...] = ()) -> list[str]:
    """Follow blocks of lines as an output does; returns what is known at the end.

    `printed` are the last of them.
    """
    errors, offset = FirstErrors(), 0
    errors.begin(Position(1, since))
    for lines in blocks:
        block = "".join(f"{line}\n" for line in lines).encode()
        errors.add(block, Position(1, offset))
        offset += len(block)
    last = sum(len(line) + 1 for line in printed)
    return errors.before(printed, Position(1, offset - last))


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
    lines = [OOM, CORE + "more", CORE + "x" * 2 * LINE_BYTES, CORE + "end"]
    assert kept(lines, printed=tuple(lines)) == lines
    assert kept(lines, printed=tuple(lines[1:])) == lines
    assert kept([UP, *lines], printed=tuple(lines[3:]))[:2] == [READY, OOM]


@pytest.mark.parametrize(
    "line",
    [
        "(VllmWorker rank=0 pid=7) ERROR 11-23 18:48:59 [a.py:1] x",
        "2026-11-28T21:00:00Z (EngineCore_0 pid=2) (VllmWorker TP0 pid=7) ERROR 11-23 18:48:59 x",
        "(ServeReplica:llm:VLLM pid=4711, ip=192.0.2.7) ERROR 11-23 18:48:59 [a.py:1] x",
        '{"asctime": "2026-11-28 21:00:00", "levelname": "ERROR", "message": "x"}',
        '{"message": "x", "level": "error"}',
        "[rank0]:[E1128 21:00:00.1 ProcessGroupNCCL.cpp:689] Watchdog caught collective operation",
        "terminate called after throwing an instance of 'c10::DistBackendError'",
    ],
)
def test_error_is_one_whatever_stands_before_its_level(line: str) -> None:
    assert kept([UP, line], ["fine"] * 3, printed=("fine",))[:2] == [READY, line]


@pytest.mark.parametrize(
    "line",
    [
        "(APIServer pid=1) INFO 11-23 18:48:58 [a.py:1] prompt: 'ERROR 11-23 boom'",
        '{"levelname": "INFO", "message": "an ERROR is in a prompt"}',
        'INFO:     192.0.2.9:1 - "GET /ERROR HTTP/1.1" 404 Not Found',
    ],
)
def test_line_of_another_level_that_has_such_a_word_is_no_error(line: str) -> None:
    assert kept([line]) == []


def test_warnings_that_may_be_the_reason_of_an_error_are_kept_the_last_ones() -> None:
    warned = [f"h:1:1 [0] NCCL WARN {number} No space left" for number in range(MAX_HINTS + 9)]
    assert kept([UP, *warned], [OOM]) == [READY, *warned[9:], OOM]


def test_run_that_a_script_starts_again_after_its_end_is_the_one_that_counts() -> None:
    banner = "INFO 11-23 18:50:00 [api_server.py:1] vLLM API server version 0.32.0"
    lines = kept([UP, FATAL, OOM], ["fine"] * 9, ["fine", banner], [CORE + "boom"])
    assert lines == [banner, CORE + "boom"]


def test_block_of_thousands_of_errors_leaves_its_first_and_its_last_ones() -> None:
    many = [f"{EARLY}ValueError: request {number}" for number in range(9000)]
    lines = kept([UP, *many], [FATAL, OOM], ["fine"], printed=("fine",))
    assert lines[1] == many[0]
    assert lines[-4:] == [many[-1], FATAL, OOM, "fine"]
    assert lines.index(many[-1]) - lines.index(many[-WINDOW_LINES]) == WINDOW_LINES - 1
    assert len(lines) < (WINDOWS + 1) * WINDOW_LINES + 5


BANNER = "INFO 11-23 18:50:00 [api_server.py:1] vLLM API server version 0.32.0"
FINE = "(APIServer pid=1) INFO 11-23 18:48:58 [a.py:1] fine"
RAW = ["it is said here:", "Traceback (most recent call last):", "KeyError: 'w'"]
PRINTED = st.tuples(
    st.sampled_from([[FINE], [OOM], [FATAL], [BANNER], [UP], ["NCCL WARN x"], RAW, [REFUSED]]),
    st.sampled_from([1, 1, 1, 2, WINDOW_LINES - 1, WINDOW_LINES, FATAL_LINES, 2500]),
).map(lambda drawn: drawn[1] * drawn[0])


@pytest.mark.long
@given(st.lists(PRINTED, max_size=12), st.data())
def test_kept_is_the_same_however_lines_come_in_blocks(
    printed: list[list[str]], data: st.DataObject
) -> None:
    lines = [f"{number} {line}" for number, line in enumerate(chain(*printed))]
    cuts = data.draw(st.sets(st.integers(0, len(lines)), max_size=8))
    ends = sorted(cut for cut in cuts if "Traceback" not in "".join(lines[cut : cut + 1]))
    blocks = [lines[a:b] for a, b in zip([0, *ends], [*ends, len(lines)], strict=True)]
    assert kept(*blocks) == kept(lines)


def test_first_error_of_a_block_of_thousands_of_lines_is_kept_wherever_it_is() -> None:
    lines = kept([UP, *3000 * [FINE], OOM, *6000 * [FINE]])
    assert lines[1] == OOM


def test_script_that_runs_it_again_within_one_block_is_another_run() -> None:
    again = [UP, FATAL, OOM, "fine", BANNER, CORE + "boom"]
    assert kept(again) == [BANNER, CORE + "boom"]
    assert kept([*again, FATAL, BANNER, UP, OOM]) == [BANNER, READY, OOM]


@pytest.mark.long
def test_bytes_that_are_kept_have_a_limit() -> None:
    long = CORE + "x" * 2 * LINE_BYTES
    kept_bytes = sum(map(len, kept([UP], *[[long] * 90] * 20, [FATAL], [long] * 90)))
    assert kept_bytes < (WINDOWS + 1) * (WINDOW_BYTES + LINE_BYTES) + FATAL_BYTES + 2 * LINE_BYTES


def test_lines_of_the_run_before_and_long_ones_are_left_out() -> None:
    old = [CORE + "old"]
    size = len(old[0]) + 1
    assert kept(old, [OOM], since=size) == [OOM]
    assert kept([*old, OOM], since=size) == [OOM]
    assert len(kept([CORE + "x" * 2 * LINE_BYTES])[0]) == LINE_BYTES
