"""Programs of supervisord and process-compose."""

from vllmd.importing.supervisor import (
    is_process_compose,
    is_supervisor,
    programs_of,
    programs_of_process_compose,
)
from vllmd.importing.surroundings import Surroundings
from vllmd.importing.unknown import is_unknown
from vllmd.importing.yaml_values import documents

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
    text += "  off: {command: y, disabled: true}\n"
    (table,) = documents(text, "x")
    assert is_process_compose(table)
    (program,) = programs_of_process_compose(table, "/srv/p.yaml", Surroundings())
    assert (program.variables, program.folder) == ({"A": "1", "B": "2"}, "/srv")
