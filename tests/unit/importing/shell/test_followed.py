from collections.abc import Sequence

import pytest

from vllmd.importing.shell.script import launches_of
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place

SERVED = "it starts vLLM and is not taken over"


def said(*lines: str) -> Sequence[str]:
    """Return what an import remarks on a script's lines that nothing was made of."""
    notes = Notes()
    launches_of("\n".join(lines), Place("run.sh", 1), Surroundings(), notes)
    assert notes.problems == []
    return [each for each in notes.remarks if "not followed" in each or SERVED in each]


def test_remarks_of_a_script_that_is_followed_whole_are_none() -> None:
    assert said("PORT=1", 'if [ "$PORT" = 1 ]; then', "vllm serve a/b", "fi", "sleep 1") == []


@pytest.mark.parametrize(
    "lines",
    [
        ("if [ 1 = 2 ]; then", "vllm serve c/d", "fi", "vllm serve a/b"),
        ("big() {", "vllm serve c/d", "}", "vllm serve a/b"),
        ("false &&", "vllm serve c/d", "vllm serve a/b"),
        ("vllm serve a/b &\nexit 0", "vllm serve c/d"),
        ("case x in", "y) vllm serve c/d ;;", "x) vllm serve a/b ;;", "esac"),
        ("while true; do break; vllm serve c/d; done; vllm serve a/b",),
        ("for each in; do", "vllm serve c/d", "done", "vllm serve a/b"),
    ],
)
def test_remarks_name_each_server_that_is_not_taken_over(lines: Sequence[str]) -> None:
    at = "\n".join(lines).splitlines().index
    line = next(each for each in "\n".join(lines).splitlines() if "c/d" in each)
    (told,) = said(*lines)
    assert told.startswith(f"run.sh:{at(line) + 1}: {SERVED}")


def test_remarks_name_other_lines_together_and_those_of_functions_not_at_all() -> None:
    (told,) = said(
        "usage() {",
        "echo how",
        "}",
        "if [ 1 = 2 ]; then",
        "export A=1",
        "B=2",
        "fi",
        "vllm serve a/b &",
        "exit",
        "echo never",
    )
    assert told.endswith("ended: lines 5 to 6, 10")


def test_remarks_name_lines_of_a_function_that_is_called_and_do_not_come_to_them() -> None:
    (told,) = said("f() {", "if [ 1 = 2 ]; then", "export A=1", "fi", "vllm serve a/b", "}", "f")
    assert told.endswith("ended: line 3")


@pytest.mark.parametrize(
    "command",
    [
        'pkill -f "vllm serve"',
        'pgrep -f "vllm serve" > /dev/null',
        'echo "then: vllm serve MODEL"',
        "docker pull vllm/vllm-openai:v0.9",
    ],
)
def test_remarks_take_what_only_speaks_of_a_server_for_none(command: str) -> None:
    told = said("stop() {", command, "}", "if [ 1 = 2 ]; then", command, "fi", "vllm serve a/b")
    assert [each for each in told if SERVED in each] == []


def test_remarks_name_a_container_that_is_not_run() -> None:
    (told,) = said(
        "if [ 1 = 2 ]; then", "docker run vllm/vllm-openai --model m", "fi", "vllm serve a"
    )
    assert told.startswith(f"run.sh:2: {SERVED}")


def test_remarks_of_a_line_that_one_of_two_turns_came_to_are_none() -> None:
    lines = ("for i in 1 2; do", "if [ $i = 1 ]; then", "vllm serve a/b", "fi", "done")
    assert said(*lines) == []
