"""`vllmd import` beside a real vLLM: its short flags, and a server of it that runs."""

import subprocess
from pathlib import Path

from tests.helpers.real import program_and_model
from tests.helpers.site import Site
from vllmd.cli.import_process import launch_of, running
from vllmd.importing.arguments import SHORT
from vllmd.importing.comparison import values_of
from vllmd.importing.known_flags import ALIASES, LISTS, REPEATED, SINGLES, SWITCHES
from vllmd.importing.known_variables import NAMES
from vllmd.importing.surroundings import Notes
from vllmd.installing.probing import table_for


def test_short_flags_are_those_of_vllm() -> None:
    program, _ = program_and_model()
    table = table_for(str(program))
    assert table is not None
    given = {
        short: flag.names[0].lstrip("-")
        for flag in table.flags
        for short in flag.short
        if short != "-h"
    }
    assert given
    assert given.items() <= SHORT.items()


def test_server_that_runs_is_read_as_it_was_started(real: Site) -> None:
    port = int(real.api.rpartition(":")[2])
    (pid,) = [each.pid for each in running() if values_of(each.arguments)["port"] == port]
    notes = Notes()
    launch = launch_of(pid, notes)
    assert notes.problems == []
    assert launch.program[0].startswith("/")
    _, model = program_and_model()
    assert values_of(launch.arguments)["model"].startswith(str(model))


def test_how_many_values_a_flag_takes_is_as_vllm_has_it() -> None:
    program, _ = program_and_model()
    table = table_for(str(program))
    assert table is not None
    names: dict[str, set[str]] = {"nothing": set(), "one": set(), "many": set()}
    for flag in table.flags:
        kind = "nothing" if flag.takes == "nothing" else "many" if flag.many else "one"
        own = {name.removeprefix("--") for name in flag.names}
        names[kind] |= {name for name in own if not name.startswith("no-")} - {"help"}
        if len(own) > 1 and kind != "nothing":
            assert {ALIASES.get(name, name) for name in own} == {flag.names[0].removeprefix("--")}
    assert names["nothing"] == SWITCHES
    assert names["many"] == LISTS | REPEATED
    assert names["one"] == SINGLES | ALIASES.keys()


def test_variables_are_those_that_vllm_lists() -> None:
    program, _ = program_and_model()
    text = "import vllm.envs as e; print(*(n for n in e.environment_variables if 'VLLM_' == n[:5]))"
    python = Path(program).parent / "python"
    done = subprocess.run([python, "-c", text], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) == NAMES
