"""Units of systemd, as systemd reads them."""

import attrs
import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.errors import VllmdError
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unit import UnitCommand, command_of, is_unit, variables_in
from vllmd.importing.unknown import as_written

PATH = "/etc/systemd/system/vllm.service"


def read(service: str, files: dict[str, str] | None = None) -> tuple[UnitCommand, Notes]:
    notes = Notes()
    around = Surroundings(GivenFiles(files or {}))
    return command_of(f"[Service]\n{service}", PATH, around, notes), notes


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/v/vllm serve m", ("/v/vllm", "serve", "m")),
        ("-@/v/vllm x serve", ("/v/vllm", "serve")),
        (":/v/vllm $A", ("/v/vllm", "$A")),
        ("/v/vllm $A ${A} $$A", ("/v/vllm", "a", "b", "a b", "$A")),
        ('/v/vllm \'x y\' "z\\"" a\\x20b', ("/v/vllm", "x y", 'z"', "a b")),
        ("/v/vllm %n %% %t", ("/v/vllm", "vllm.service", "%", "/run")),
    ],
)
def test_words_of_a_start(line: str, words: tuple[str, ...]) -> None:
    unit, _ = read(f'Environment="A=a b"\nExecStart={line}')
    assert unit.words == words


def test_files_of_variables_win_over_the_unit_and_a_later_one_over_an_earlier() -> None:
    files = {"/a": "X=1\nY='2'\n", "/b": "# c\nX=3\n"}
    unit, _ = read(
        "Environment=X=0 Z=9\nEnvironmentFile=/a\nEnvironmentFile=/b\nExecStart=/v", files
    )
    assert unit.variables == {"X": "3", "Y": "2", "Z": "9"}


def test_drop_ins_are_read_in_the_order_of_their_names_and_take_back() -> None:
    files = {
        f"{PATH}.d/20.conf": "[Service]\nExecStart=\nExecStart=/new\n",
        f"{PATH}.d/10.conf": "[Service]\nWorkingDirectory=/srv\nExecStart=\nExecStart=/old\n",
        "/usr/lib/systemd/system/vllm.service.d/20.conf": "[Service]\nWorkingDirectory=/no\n",
        f"{PATH}.d/x.txt": "[Service]\nWorkingDirectory=/no\n",
    }
    unit, _ = read("ExecStart=/first", files)
    assert (unit.words, unit.folder) == (("/new",), "/srv")
    assert unit.place.source == f"{PATH}.d/20.conf"


def test_what_is_not_known_is_a_mark() -> None:
    unit, _ = read("ExecStart=/v ${NO} %i %h")
    assert [as_written(word) for word in unit.words] == ["/v", "$NO", "%i", "/root"]


@pytest.mark.parametrize(
    ("path", "more", "home"),
    [
        ("/etc/systemd/system/x.service", "", "/root"),
        ("/home/al/.config/systemd/user/x.service", "", "/home/al"),
        ("/srv/x.service", "", "/home/al"),
        ("/srv/x.service", "User=al", "/root"),
        ("/srv/x.service", "[Install]\nWantedBy=multi-user.target", "/root"),
        ("/srv/x.service", "[Install]\nWantedBy=default.target", "/home/al"),
    ],
)
def test_home_is_that_of_the_service_manager(path: str, more: str, home: str) -> None:
    text = f"[Service]\nExecStart=/v %h\n{more}\n"
    unit = command_of(text, path, Surroundings(home="/home/al"), Notes())
    assert unit.words == ("/v", home)


def test_what_is_asked_for_beside_it_is_said() -> None:
    _, notes = read(
        "ExecStart=/v\nUser=llm\nRestart=always\nMemoryMax=1G\nExecStopPost=/x\nType=exec"
    )
    assert [each.split("=")[0] for each in notes.remarks] == [
        *("User", "Restart", "left out: MemoryMax"),
        f"{PATH}:6: left out: ExecStopPost",
    ]


def test_several_starts_and_none_are_refused() -> None:
    _, notes = read("ExecStart=/a\nExecStart=/b")
    assert "several commands" in notes.problems[0].text
    with pytest.raises(VllmdError, match="has no ExecStart="):
        read("User=x")


def test_a_unit_is_told_from_other_files() -> None:
    assert is_unit("[Service]\nExecStart=/v\n")
    assert not is_unit("echo [Service] ExecStart\n")
    assert variables_in("export A=1\nB = 'x y'\nnot\n") == {"A": "1", "B": "x y"}
    assert attrs.has(UnitCommand)


def test_drop_ins_of_a_prefix_and_of_all_services_are_read() -> None:
    folder = "/etc/systemd/system"
    files = {
        f"{folder}/vllm-.service.d/a.conf": "[Service]\nEnvironment=A=1\n",
        f"{folder}/service.d/b.conf": "[Service]\nEnvironment=B=2\n",
    }
    around = Surroundings(GivenFiles(files))
    unit = command_of("[Service]\nExecStart=/v\n", f"{folder}/vllm-a.service", around, Notes())
    assert unit.variables == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (r"/v/vllm \"a\" \x41\101\t\s", ("/v/vllm", '"a"', "AA\t ")),
        (r'/v/vllm "{\"a\": 1}" "\x41"', ("/v/vllm", '{"a": 1}', "A")),
        ("/v/vllm %p %j %N", ("/v/vllm", "vllm", "vllm", "vllm")),
    ],
)
def test_escapes_and_parts_of_the_name(line: str, words: tuple[str, ...]) -> None:
    assert read(f"ExecStart={line}\n")[0].words == words


def test_name_of_an_instance_is_unescaped_where_a_capital_asks_for_it() -> None:
    text = "[Service]\nExecStart=/v/%j/vllm serve %I %i %p %P\n"
    path = "/etc/systemd/system/gpu-vllm@Qwen-Qwen3\\x2d8B.service"
    command = command_of(text, path, Surroundings(), Notes())
    assert command.words == (
        *("/v/vllm/vllm", "serve", "Qwen/Qwen3-8B", "Qwen-Qwen3\\x2d8B", "gpu-vllm", "gpu/vllm"),
    )


def test_variable_that_stands_alone_is_parted_as_its_quotes_say() -> None:
    files = {"/e": 'A=--x \'{"a": 1, "b": 2}\' "y z"\nB=it\'s\n'}
    command, _ = read("EnvironmentFile=/e\nExecStart=/v/vllm $A $B\n", files)
    assert command.words == ("/v/vllm", "--x", '{"a": 1, "b": 2}', "y z", "it's")


def test_files_of_variables_may_be_named_by_a_pattern() -> None:
    files = {"/c/2.env": "A=2\n", "/c/1.env": "A=1\nB=1\n", "/c/x": "B=9\n"}
    command, notes = read("EnvironmentFile=/c/*.env\nExecStart=/v/vllm\n", files)
    assert (command.variables, notes.problems) == ({"A": "2", "B": "1"}, [])
    _, missing = read("EnvironmentFile=/d/*.env\nExecStart=/v/vllm\n")
    assert len(missing.problems) == 1


def test_line_of_a_shell_in_a_file_of_variables_is_left_out_as_systemd_does() -> None:
    command, notes = read("EnvironmentFile=/e\nExecStart=/v\n", {"/e": "export A=1\nB=2\n"})
    assert command.variables == {"B": "2"}
    assert any("left out: A of /e: systemd takes no export" in each for each in notes.remarks)
