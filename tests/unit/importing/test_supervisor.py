"""Programs of supervisord and process-compose."""

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.importing.supervisor import (
    is_process_compose,
    is_supervisor,
    programs_of,
    programs_of_process_compose,
)
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import is_unknown
from vllmd.importing.yaml_values import documents

SOURCES = Surroundings()
TEXT = """[program:a]
command=vllm serve m
  --port 80%(process_num)d %(here)s %% %(ENV_X)s
numprocs=2
environment=A="1,2",B=3
"""


def test_programs_are_as_many_as_numprocs_says() -> None:
    first, second = programs_of(TEXT, "/etc/s.conf", Surroundings(), Notes())
    assert is_supervisor(TEXT)
    assert first.script.startswith("vllm serve m --port 800 /etc % ")
    assert "801" in second.script
    assert is_unknown(first.script)
    assert first.variables == {"A": "1,2", "B": "3"}


def test_processes_have_the_variables_of_all_and_their_own() -> None:
    text = "environment: [A=1]\nprocesses:\n  x: {command: vllm serve m, environment: {B: 2}}\n"
    text += "  off: {command: vllm serve n, disabled: true}\n"
    (table,) = documents(text, "x")
    assert is_process_compose(table)
    notes = Notes()
    (program,) = programs_of_process_compose(table, "/srv/p.yaml", Surroundings(), notes)
    assert (program.variables, program.folder) == ({"A": "1", "B": "2"}, "/srv")
    assert notes.remarks == ["left out: the process off: it is disabled, and started by hand"]


def test_processes_are_as_many_as_replicas_say_with_their_templates_filled() -> None:
    text = "vars: {PORT: 80}\nprocesses:\n  x:\n    replicas: 2\n"
    text += "    command: vllm serve m --port {{.PORT}}{{.PC_REPLICA_NUM}} {{ .NONE }}\n"
    (table,) = documents(text, "x")
    notes = Notes()
    found = list(programs_of_process_compose(table, "/srv/p.yaml", Surroundings(), notes))
    assert [each.script for each in found] == [
        "vllm serve m --port 800 ",
        "vllm serve m --port 801 ",
    ]
    assert [each.text for each in notes.problems] == [
        "{{ .NONE }}: what it stands for is not known here: write it"
    ]


def test_program_that_is_started_by_hand_is_so_here() -> None:
    text = "[program:x]\ncommand=vllm serve m\nautostart=false\n"
    (program,) = programs_of(text, "/etc/s.conf", Surroundings(), Notes())
    assert not program.autostart


@pytest.mark.parametrize("count", ["257", "900000000", "9" * 5000])
def test_more_programs_than_a_host_has_engines_are_refused_at_once(count: str) -> None:
    text = f"[program:x]\ncommand=vllm serve m\nnumprocs={count}\n"
    with pytest.raises(ValueError, match="256 are taken over at most"):
        list(programs_of(text, "", SOURCES, Notes()))
    text = f"processes:\n  x: {{command: vllm serve m, replicas: '{count}'}}\n"
    (table,) = documents(text, "x")
    with pytest.raises(ValueError, match="256 are taken over at most"):
        list(programs_of_process_compose(table, "/srv/p.yaml", SOURCES, Notes()))


def test_files_that_are_included_are_read_too() -> None:
    text = "[program:a]\ncommand=vllm serve m\n[include]\nfiles = %(here)s/c/*.ini d/*.conf\n"
    files = GivenFiles({"/etc/c/b.ini": "[program:b]\ncommand=vllm serve n\n", "/etc/c/x": ""})
    notes = Notes()
    first, second = programs_of(text, "/etc/s.conf", Surroundings(files), notes)
    assert (first.name, second.name, second.place.source) == ("a", "b", "/etc/c/b.ini")
    assert notes.remarks[0] == "[include] /etc/c/*.ini: b.ini are read too"
    assert "[include] d/*.conf: nothing of that can be read here" in notes.remarks[1]


def test_file_of_overrides_goes_over_that_of_process_compose() -> None:
    (table,) = documents("processes:\n  x: {command: vllm serve m, environment: [A=1, B=1]}\n", "x")
    over = "processes: {x: {environment: [A=2]}, y: {command: vllm serve n}}"
    files = GivenFiles({"/p/process-compose.override.yaml": over, "/p/.env": "C=3 # x\n"})
    notes = Notes()
    path = "/p/process-compose.yaml"
    first, second = programs_of_process_compose(table, path, Surroundings(files), notes)
    assert first.variables == {"A": "2", "B": "1", "C": "3"}
    assert second.script == "vllm serve n"
    (alone,) = programs_of_process_compose(table, "/p/x.yaml", Surroundings(files), Notes())
    assert alone.variables["A"] == "1"


def test_keys_of_processes_that_are_not_read_are_refused() -> None:
    (table,) = documents("extends: a.yaml\nprocesses:\n  x: {command: vllm serve m, new: 1}\n", "x")
    notes = Notes()
    list(programs_of_process_compose(table, "/p/x.yaml", Surroundings(), notes))
    assert [str(each.place) for each in notes.problems] == ["/p/x.yaml:1", "/p/x.yaml:3"]
