import time

import pytest

from vllmd.engine.log_reading.markdown import LONGEST, unmarked
from vllmd.engine.offline_diagnosis import diagnose_output

SAID = "ValueError: fp8_e5m2 kv-cache is not supported with fp8 checkpoints."
RECORD = "(EngineCore pid=7) ERROR 10-21 00:35:03 [core.py:708] " + SAID
NVCC = "nvcc fatal   : Unsupported gpu architecture 'compute_120f'"


@pytest.mark.parametrize(
    "shown",
    [
        f"> {SAID}",
        f">> {SAID}",
        f"**{SAID}**",
        f"`{SAID}`",
        f'"{SAID}"',
        f"“{SAID}”",
        f"- {SAID}",
        f"* `{SAID}`",
        f"1. {SAID}",
        f"- [x] {SAID}",
        f"### {SAID}",
        f"**Error:** {SAID}",
        f"**Error**: {SAID}",
        f"{SAID}<br>",
        f"<pre>{SAID}</pre>",
        f"It dies with `{SAID}` at once",
        f"### `x` fails ``` {SAID} ``` at once",
        f"| start | crash | `{SAID}` at once |",
        f"| start | {SAID} |",
        f"It dies with {SAID}",
        f"My note: {SAID}",
        SAID.replace("ValueError:", "**ValueError:**"),
        SAID.replace("ValueError", "`ValueError`"),
    ],
)
def test_an_exception_is_read_out_of_what_shows_it(shown: str) -> None:
    assert list(unmarked([shown])) == [SAID]
    assert diagnose_output([shown], 1).cause == "config_rejected"


@pytest.mark.parametrize(
    "shown",
    [
        RECORD,
        f"> {RECORD}",
        f"- {RECORD}",
        f"<br>{RECORD}",
    ],
)
def test_a_record_of_a_log_keeps_its_own_beginning(shown: str) -> None:
    assert list(unmarked([shown])) == [RECORD]


def test_code_within_code_is_read_to_its_end() -> None:
    shown = "1. **`f` overflows:** `triton.runtime.errors.OutOfResources: reduce `num_stages`.`"
    assert list(unmarked([shown])) == ["triton.runtime.errors.OutOfResources: reduce `num_stages"]
    assert diagnose_output([shown], 1).cause == "gpu_unsupported"


def test_fences_entities_and_escapes_are_taken_off() -> None:
    page = ["```text", "  File &quot;/a/b.py&quot;, line 3, in &lt;module&gt;", SAID, "```"]
    assert list(unmarked(page)) == ['  File "/a/b.py", line 3, in <module>', SAID]
    forum = ["ERROR 04-24 10:22:40 \\[core.py:1108\\] set gpu\\_memory\\_utilization"]
    assert list(unmarked(forum)) == [
        "ERROR 04-24 10:22:40 [core.py:1108] set gpu_memory_utilization"
    ]


def test_each_cell_of_a_table_that_shows_an_error_is_a_line() -> None:
    table = ["| path | what |", "| --- | --- |", f"| sampler | `{NVCC}` |", "| other | hangs |"]
    assert list(unmarked(table)) == [NVCC]


def test_a_table_of_what_may_come_is_no_log() -> None:
    rows = ["| what | do |", "|---|---|", "| `OutOfMemoryError` (start) | `CUDA out of memory` |"]
    assert list(unmarked(rows)) == []
    assert diagnose_output(rows, 1).cause == "unknown"
    frame = ["| Traceback |", "| ValueError |"]
    assert list(unmarked(frame)) == frame


def test_around_fences_with_an_error_is_prose() -> None:
    note = [
        "It may be `RuntimeError: CUDA error: unknown error`:",
        "  ```text",
        f"  {SAID}",
        "    more",
    ]
    note += ["  ```", "or `CUDA out of memory`"]
    assert list(unmarked(note)) == [SAID, "  more"]
    assert diagnose_output(note, 1).cause == "config_rejected"


def test_fences_with_a_command_alone_and_a_fence_that_nothing_closes_hide_nothing() -> None:
    assert list(unmarked(["```", "vllm serve m", "```", SAID])) == ["vllm serve m", SAID]
    assert list(unmarked(["text", "```", SAID])) == ["text", SAID]


@pytest.mark.parametrize(
    "line",
    [
        'INFO 11-02 18:44:00 [logger.py:60] Received request: prompt: "Why `ValueError: x y`?"',
        "(APIServer pid=1) INFO it says `RuntimeError: CUDA error: unknown error`",
        "Try increasing `gpu_memory_utilization` when initializing the engine.",
        "    return f(*args, **kwargs)",
        "             ~~~~~~~~~~~~~~~^^^^^",
        "  + Exception Group Traceback (most recent call last):",
        "2. Specify a local directory that has a recognized configuration file.",
        "Loading safetensors checkpoint shards:   0%|          | 0/13 [00:00<?, ?it/s]",
        "raise ValueError: x",
    ],
)
def test_what_a_program_printed_is_left_as_it_is(line: str) -> None:
    assert list(unmarked([line])) == [line]
    assert list(unmarked([line, RECORD])) == [line, RECORD]


def test_a_sentence_is_no_evidence_where_there_is_a_log() -> None:
    note = f"It dies with {SAID}"
    assert list(unmarked([note, RECORD])) == [note, RECORD]


def test_a_quotation_within_a_text_is_read_only_if_it_is_of_a_log() -> None:
    text = ["I ask:", "and again", "> is it so?", f"> {RECORD}", "thanks"]
    assert list(unmarked(text)) == ["I ask:", "and again", "> is it so?", RECORD, "thanks"]


def test_what_a_model_answered_is_no_evidence_in_a_log() -> None:
    answer = ["It fails with `RuntimeError: CUDA error: unknown error`:", "```", SAID, "```", "so"]
    log = ["INFO 10-21 00:35:03 [llm.py:9] Processed prompts: 1", *answer, RECORD]
    assert list(unmarked(log)) == [log[0], SAID, "so", RECORD]


@pytest.mark.parametrize(
    "answer",
    [
        f"- {SAID}",
        f"1. {SAID}",
        f"**{SAID}**",
        f"It says `{SAID}`",
        f"| error | `{SAID}` |",
    ],
)
def test_a_list_or_a_table_between_the_lines_of_a_log_shows_nothing(answer: str) -> None:
    log = [RECORD.replace("ERROR", "INFO"), "|---|---|", answer, "INFO:     Shutting down"]
    assert diagnose_output(log, 0).cause == "unknown"


def test_a_quotation_between_the_lines_of_a_log_shows_nothing_but_a_log() -> None:
    log = ["INFO 10-21 00:35:03 [llm.py:9] x", f"> {SAID}", f"> {RECORD}", "more", "and more"]
    assert list(unmarked(log)) == [log[0], RECORD, "more", "and more"]
    assert list(unmarked([f"> {SAID}", "more", "and more"])) == [SAID, "more", "and more"]


@pytest.mark.parametrize("piece", ["`", "`a ", "(", "a.", "> ", "**", "| a ", "Ab", "a: ", "<"])
def test_a_long_line_is_looked_at_in_bounded_time(piece: str) -> None:
    for size in (LONGEST, 100 * LONGEST):
        line = f"x {piece * (size // len(piece))}"
        began = time.process_time()
        assert list(unmarked([line] * 5)) == [line] * 5
        assert time.process_time() - began < 1
