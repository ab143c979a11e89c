"""Loops that are left, and commands that may not be reached."""

import pytest

from vllmd.importing.shell.script import launches_of
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place


def served(script: str) -> tuple[list[tuple[str, ...]], Notes]:
    notes = Notes()
    found, _ = launches_of(script, Place("x", 1), Surroundings(), notes)
    return [each.arguments for each in found], notes


@pytest.mark.parametrize(
    ("script", "models"),
    [
        ("for m in a b c; do vllm serve $m & break; done", ["a"]),
        ("for m in a b c; do [ $m = b ] && continue; vllm serve $m & done", ["a", "c"]),
        (
            "for m in a b; do for n in 1 2; do vllm serve $m$n & continue 2; done; done",
            ["a1", "b1"],
        ),
        ("while true; do if [ 1 = 1 ]; then break; fi; vllm serve a; done; vllm serve b", ["b"]),
        ("for i in 1 2; do curl -s localhost && break; sleep 1; done; vllm serve a", ["a"]),
        ("for i in 1 2; do x || break; done; vllm serve a", ["a"]),
        ("while read -r m p; do vllm serve $m$p & done <<'E'\na 1\nb 2\nE\n", ["a1", "b2"]),
        ("while IFS=, read m p; do vllm serve $m & done <<< a,1", ["a"]),
        ("echo 'a' > /x; while read m || [[ -n $m ]]; do vllm serve $m & done < /x", ["a"]),
        ("while read a; do while read b; do :; done <<< c; vllm serve $a & done <<< x", ["x"]),
    ],
)
def test_loop_is_left_where_the_script_leaves_it(script: str, models: list[str]) -> None:
    found, notes = served(script)
    assert [each[0] for each in found] == models
    assert notes.problems == []


@pytest.mark.parametrize(
    "script",
    [
        "for m in a b; do vllm serve $m & pgrep x && break; done",
        "for m in a b; do x && continue; vllm serve $m & done",
        "for m in a b; do x || break; vllm serve $m & done",
        "for m in a; do if x; then break; fi; vllm serve $m & done",
        "while read m; do vllm serve $m & done < /not-here",
        "while read m; do vllm serve $m & done",
    ],
)
def test_what_may_not_be_reached_is_refused(script: str) -> None:
    _, notes = served(script)
    assert "whether it runs depends on" in notes.problems[0].text


def test_end_that_depends_on_a_command_is_no_end() -> None:
    found, notes = served("systemctl is-active x && exit 0; vllm serve a")
    assert [each[0] for each in found] == ["a"]
    assert notes.problems == []


def test_lines_that_a_pipe_gives_are_read() -> None:
    text = "printf '%s\\n' a b | while read -r m; do vllm serve $m & done"
    assert served(text)[0] == [("a",), ("b",)]
    text = "mapfile -t L < <(printf '%s\\n' a b)\nfor m in ${L[@]}; do vllm serve $m & done"
    assert served(text)[0] == [("a",), ("b",)]


def test_server_that_a_watchdog_starts_again_is_one() -> None:
    text = "s() { vllm serve a & }\ns\nwhile true; do kill -0 $P || s; if x; then s; fi; done"
    models, notes = served(text)
    assert models == [("a",)]
    assert notes.problems == []
    assert any("the loop around it" in each for each in notes.remarks)
    _, other = served("vllm serve a &\nif x; then vllm serve b; fi")
    assert len(other.problems) == 1
