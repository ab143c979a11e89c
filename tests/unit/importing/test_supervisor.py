"""Programs of supervisord and process-compose."""

import pytest

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
    first, second = programs_of(TEXT, "/etc/s.conf", Surroundings())
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
    (program,) = programs_of(text, "/etc/s.conf", Surroundings())
    assert not program.autostart


@pytest.mark.parametrize("count", ["257", "900000000", "9" * 5000])
def test_more_programs_than_a_host_has_engines_are_refused_at_once(count: str) -> None:
    with pytest.raises(ValueError, match="256 are taken over at most"):
        list(programs_of(f"[program:x]\ncommand=vllm serve m\nnumprocs={count}\n", "", SOURCES))
    text = f"processes:\n  x: {{command: vllm serve m, replicas: '{count}'}}\n"
    (table,) = documents(text, "x")
    with pytest.raises(ValueError, match="256 are taken over at most"):
        list(programs_of_process_compose(table, "/srv/p.yaml", SOURCES, Notes()))
