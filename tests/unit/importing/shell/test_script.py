"""The servers that a script starts; the corpus in tests/launchers has whole scripts."""

import pytest

from vllmd.errors import VllmdError
from vllmd.importing.launch import Launch
from vllmd.importing.shell.script import launches_of
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place, unknowns


def found(text: str, notes: Notes | None = None) -> list[Launch]:
    launches, _ = launches_of(text, Place("x", 1), Surroundings(), notes or Notes())
    return launches


def test_exported_variables_and_those_of_the_command_are_its_environment() -> None:
    (launch,) = found("HF_HOME=/no\nexport HF_HUB_OFFLINE=1\nVLLM_X=2 vllm serve m")
    assert launch.variables == {"HF_HUB_OFFLINE": "1", "VLLM_X": "2"}


def test_env_takes_variables_away() -> None:
    (launch,) = found("export A_B=1 VLLM_C=2\nenv -u VLLM_C VLLM_D=3 vllm serve m")
    assert launch.variables == {"A_B": "1", "VLLM_D": "3"}
    (clean,) = found("export VLLM_C=2\nenv -i VLLM_D=3 vllm serve m")
    assert clean.variables == {"VLLM_D": "3"}


def test_path_lists_keep_what_is_known() -> None:
    (launch,) = found(
        "export LD_LIBRARY_PATH=/cuda/lib:$LD_LIBRARY_PATH PATH=/x:$PATH\nvllm serve m"
    )
    assert launch.variables == {"LD_LIBRARY_PATH": "/cuda/lib"}
    assert any("left out: PATH" in remark for remark in launch.remarks)


def test_place_of_a_launch_is_its_line() -> None:
    first, second = found("vllm serve a &\n\nvllm serve b &\n")
    assert (str(first.place), str(second.place)) == ("x:1", "x:3")


def test_values_that_are_not_known_keep_what_was_written() -> None:
    (launch,) = found("vllm serve $M --port ${P:-9}")
    (unknown,) = unknowns(launch.arguments)
    assert str(unknown).startswith("x:1: $M: it is set nowhere")
    assert launch.arguments[1:] == ("--port", "9")


def test_arrays_are_added_to() -> None:
    (launch,) = found('A=(--a 1) # x\nA+=(--b "2 3")\nA[0]=--c\nvllm serve m "${A[@]}"')
    assert launch.arguments == ("m", "--c", "1", "--b", "2 3")


def test_nested_shells_are_read() -> None:
    for text in ("bash -c 'vllm serve m'", "eval vllm serve m", "sh <<E\nvllm serve m\nE"):
        assert found(text)[0].arguments == ("m",)


def test_depth_is_bounded() -> None:
    notes = Notes()
    found("f() { f; }\nf", notes)
    assert "16 deep" in str(notes.problems[0])
    with pytest.raises(VllmdError, match="nested too deeply"):
        found("(" * 5000 + "a" + ")" * 5000)
