"""The servers that a script starts; the corpus in tests/launchers has whole scripts."""

import pytest

from tests.helpers.launchers import GivenFiles
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


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    [
        "f() { g; g; }\ng() { f; f; }\nf",
        "for a in {1..99}; do for b in {1..99}; do for c in {1..99}; do ((x+=1)); done; done; done",
        "f() { if probe; then f; f; f; fi; }\nf",
        "while probe; do for a in {1..200}; do for b in {1..200}; do x=$(f $a); done; done; done",
    ],
)
def test_script_that_runs_commands_without_end_is_followed_so_far(text: str) -> None:
    with pytest.raises(VllmdError, match=r"x:\d: it has run 50,000 commands by then"):
        found(f"{text}\nvllm serve m")


def test_exec_ends_the_script() -> None:
    text = "if true; then\nexec vllm serve a\nfi\nexec vllm serve b"
    assert [each.arguments for each in found(text)] == [("a",)]
    assert len(found("exec > log 2>&1\nexec {fd}> x\nvllm serve a")) == 1


def test_exec_of_a_shell_of_its_own_ends_that_alone() -> None:
    text = "for m in a b; do ( exec vllm serve $m ) & done\nvllm serve c"
    assert [each.arguments for each in found(text)] == [("a",), ("b",), ("c",)]


def test_exit_in_a_function_ends_the_script_and_return_the_function() -> None:
    body = "f() {{ vllm serve a; {}; }}\nf\nvllm serve b"
    assert [each.arguments for each in found(body.format("exit 0"))] == [("a",)]
    assert [each.arguments for each in found(body.format("return"))] == [("a",), ("b",)]


def test_variables_of_a_function_are_its_own() -> None:
    text = "P=1 M=m\nf() { local P=$1 M; M=x; G=2; vllm serve $M --port $P; }\nf 9\n"
    first, second = found(f"{text}vllm serve $M --port $P --seed $G")
    assert first.arguments == ("x", "--port", "9")
    assert second.arguments == ("m", "--port", "1", "--seed", "2")


def test_let_counts() -> None:
    first, second = found("p=1\nfor i in a b; do vllm serve $i --port $p & let p+=1; done")
    assert (first.arguments[2], second.arguments[2]) == ("1", "2")


def test_files_of_variables_that_a_prefix_names_are_read() -> None:
    files = GivenFiles({"/w/a.env": "VLLM_X=1\nHF_HOME=/f\n"})
    around = Surroundings(files, "/w")

    def variables(text: str, notes: Notes) -> object:
        launches, _ = launches_of(text, Place("x", 1), around, notes)
        return [each.variables for each in launches]

    once = "export HF_HOME=/e\n"
    uv = variables(f"{once}uv run --env-file a.env vllm serve m", Notes())
    assert uv == [{"VLLM_X": "1", "HF_HOME": "/e"}]  # what is set already goes before it
    unit = variables("systemd-run -p EnvironmentFile=/w/a.env vllm serve m", Notes())
    assert unit == [{"VLLM_X": "1", "HF_HOME": "/f"}]
    shell = variables("uv run --env-file a.env sh -c 'vllm serve m'", Notes())
    assert shell == [{"VLLM_X": "1", "HF_HOME": "/f"}]
    missing = Notes()
    variables("uv run --env-file b.env vllm serve m", missing)
    assert "b.env cannot be read here" in str(missing.problems)
    assert variables("pipenv run vllm serve m", Notes()) == [{}]


def test_variables_that_sudo_may_not_hand_on_are_said() -> None:
    (launch,) = found("export HF_HOME=/x\nsudo VLLM_A=1 vllm serve m")
    assert any("which HF_HOME may not be of" in each for each in launch.remarks)
    (kept,) = found("export HF_HOME=/x\nsudo -E vllm serve m")
    assert not any("sudo" in each for each in kept.remarks)


def test_file_that_is_written_and_starts_vllm_is_named_if_nothing_runs_it() -> None:
    notes = Notes()
    text = "cat > {} <<E\nvllm serve b\nE\nvllm serve a\n"
    found(text.format("/x/run.sh"), notes)
    assert any("/x/run.sh: the script writes it" in each for each in notes.remarks)
    notes = Notes()
    assert len(found(f"{text.format('/x/run.sh')}bash /x/run.sh", notes)) == 2
    assert not any("the script writes it" in each for each in notes.remarks)


def test_printf_into_a_variable() -> None:
    (launch,) = found("printf -v P '80%02d' 7\nvllm serve m --port $P")
    assert launch.arguments == ("m", "--port", "8007")
    (launch,) = found("printf -v P '%x' 7\nvllm serve m --port $P")
    assert len(unknowns(launch.arguments)) == 1


def test_what_is_assigned_may_stand_in_quotes_or_come_out_of_a_variable() -> None:
    (launch,) = found(
        'export "A_B=x y" \'C_D=1\'\nL="E_F=1 G_H=2"\nexport $L "I_J=$(echo 3)"\nvllm serve m'
    )
    assert launch.variables == {"A_B": "x y", "C_D": "1", "E_F": "1", "G_H": "2", "I_J": "3"}


def test_integers_are_worked_out_when_they_are_set() -> None:
    (launch,) = found("declare -i n=1\nn+=1\nn=n*10\nvllm serve m --port $n")
    assert launch.arguments == ("m", "--port", "20")


def test_what_a_command_gives_is_read_in() -> None:
    around = Surroundings(GivenFiles({"/w/a.env": "# x\nA_B=1\nM=m\n"}), "/w")
    text = "set -a\n. <({} a.env{})\nset +a\nvllm serve $M"
    for command in (("grep -v '^#'", ""), ("cat", " | grep -v '^#'")):
        launches, _ = launches_of(text.format(*command), Place("x", 1), around, Notes())
        assert [each.arguments for each in launches] == [("m",)]
    notes = Notes()
    launches_of(text.format("sops -d", ""), Place("x", 1), around, notes)
    assert "cannot be read here" in str(notes.problems)
