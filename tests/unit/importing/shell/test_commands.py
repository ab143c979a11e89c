"""What a script's own commands do to what it goes on with."""

from vllmd.importing.shell.commands import BUILTINS, CONDA, EXPORTS, printed
from vllmd.importing.shell.state import ShellState
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import is_unknown


def state() -> ShellState:
    return ShellState(Surroundings(), Notes(), "", "x", folder="/srv")


def test_folder_follows_cd() -> None:
    one = state()
    for words, expected in ((["app"], "/srv/app"), (["../x"], "/srv/x"), (["/opt"], "/opt")):
        BUILTINS["cd"](one, words, 1)
        assert one.folder == expected
    BUILTINS["cd"](one, [], 1)
    assert is_unknown(str(one.folder))


def test_options_arguments_and_end() -> None:
    one = state()
    BUILTINS["set"](one, ["-a", "--", "x", "y"], 1)
    assert one.exports_all
    BUILTINS["shift"](one, [], 1)
    assert one.arguments == ["y"]
    BUILTINS["exit"](one, ["1"], 1)
    assert one.ended


def test_what_is_read_or_unset_is_not_known() -> None:
    one = state()
    BUILTINS["getopts"](one, ["m:p:", "name"], 1)
    assert is_unknown(str(one.variables["name"]))
    BUILTINS["unset"](one, ["name"], 1)
    assert "name" not in one.variables


def test_conda_environment_by_path_and_by_name() -> None:
    one = state()
    CONDA(one, ["activate", "/opt/envs/llm"], 1)
    assert one.prefix == "/opt/envs/llm/bin"
    CONDA(one, ["activate", "llm"], 1)
    assert is_unknown(one.prefix)


def test_conditions_and_texts() -> None:
    assert BUILTINS["["](state(), ["a", "=", "a", "]"], 1) is True
    assert printed("printf", ["%s:%d\\n", "a", "1"], "") == "a:1\n"
    assert printed("echo", ["-n", "a", "b"], "") == "a b"
    assert printed("echo", ["-e", "a\\nb", "-n"], "") == "a\nb -n\n"
    assert printed("printf", ["%x", "1"], "") is None
    assert printed("cat", [], "text") == "text"
    assert "export" in EXPORTS
