import importlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.helpers.each import of_each
from vllmd.cli import logs
from vllmd.cli import main as main_module
from vllmd.cli.main import ACTING, ALIASES, COMMANDS, EPILOG, cli, main, module_of
from vllmd.errors import ConfigError, VllmdError


def all_commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that stand for it, such as ``gpu reap``."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield f"{before}{name}", found
        if isinstance(found, click.Group):
            yield from all_commands(found, f"{before}{name} ")


EVERY = dict(all_commands(cli))
TOLD = {
    words
    for command in EVERY.values()
    for words in re.findall(r"'vllmd ([a-z]+ [a-z]+)", " ".join((command.help or "").split()))
}
"""Commands of two words that the help of some command names, such as ``logs rotate``."""


@of_each(COMMANDS)
def test_every_command_has_its_module_and_help(name: str) -> None:
    command = importlib.import_module(module_of(name)).command
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert command.help.split("\n")[0].split(";")[0].rstrip(".").split(" ")[0] in COMMANDS[name]


@pytest.mark.parametrize("words", sorted({*EVERY, *TOLD}))
def test_help_of_every_command_is_its_own(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in ("{} -h", "{} --help", "help {}"):
        for command in (*EVERY.values(), logs.rotate):  # click keeps the names that it saw first
            monkeypatch.setattr(command, "_help_option", None)
        result = CliRunner().invoke(cli, asked.format(words).split(), prog_name="vllmd")
        assert result.exit_code == 0, result.output
        assert re.match(rf"Usage: vllmd {words}( \[| [A-Z]|\n)", result.output), result.output
        assert "Options:" in result.output
        assert result.output.isascii(), "click prints it in every locale as it is"


def test_help_names_a_command_that_is_no_groups() -> None:
    """Without one, the test above would not see that `logs rotate` has the help of `logs`."""
    assert "logs rotate" in TOLD - set(EVERY)


@pytest.mark.parametrize("words", EVERY)
def test_prefix_of_a_command_is_refused_and_never_taken_for_one_that_acts(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    *group, name = words.split()
    known = {each.split()[-1] for each in EVERY if each.split()[:-1] == group} | set(ALIASES)
    for prefix in {name[:end] for end in range(1, len(name))} - known:
        with pytest.raises(SystemExit) as caught:
            main([*group, prefix])
        assert caught.value.code == 2, prefix
        said = capsys.readouterr().err
        assert f"no such command {prefix!r}" in said
        meant = re.search(r'did you mean "(\w+)"', said, re.IGNORECASE)
        assert meant is None or meant[1] not in ACTING, (prefix, said)


def test_help_lists_all_commands_and_exit_codes() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert all(name in result.output for name in COMMANDS)
    documented = set(EPILOG.split())
    codes = {str(cls.exit_code) for cls in VllmdError.__subclasses__()}
    assert codes <= documented


def test_unknown_command_asks_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["statsu"])
    assert caught.value.code == 2
    assert 'did you mean "status"?' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("stat", 'did you mean "status"?'),
        ("sta", 'did you mean "status"?'),
        ("tops", 'did you mean "top"?'),
        ("stpo", "see vllmd --help"),
        ("restrat", "see vllmd --help"),
        ("up", "'vllmd start ENGINE' starts an engine"),
        ("down", "'vllmd stop ENGINE' stops an engine"),
    ],
)
def test_unknown_word_is_never_taken_for_a_command_that_acts(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([word])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], ["status", "--hints"]),
        (["ps", "--json"], ["status", "--json"]),
        (["ls"], ["status"]),
        (["list"], ["status"]),
        (["help", "stop"], ["stop", "--help"]),
        (["help"], ["--help"]),
        (["version"], ["--version"]),
        (["-V"], ["-V"]),
    ],
)
def test_alias_stands_for_a_command(
    given: list[str], meant: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[list[str]] = []
    monkeypatch.setattr(click.Group, "parse_args", lambda _self, _ctx, args: taken.append(args))
    cli.parse_args(click.Context(cli), given)
    assert taken == [meant]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("bad file"), 78),
        (KeyboardInterrupt(), 130),
        (PermissionError(13, "Permission denied", "/root/x"), 77),
        (FileNotFoundError(2, "No such file or directory", "/x"), 1),
    ],
)
def test_main_turns_errors_into_exit_codes(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(main_module.cli, "main", fail)
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == code


def test_status_starts_without_the_daemons_libraries() -> None:
    code = (
        "import sys, vllmd.cli.main, vllmd.cli.status; heavy = {'httpx', 'starlette', 'uvicorn', "
        "'structlog', 'psutil', 'prometheus_client', 'rich', 'textual', 'attr', 'asyncio', 'ssl', "
        "'http.client', 'sqlite3'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("closed", ["0<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_files_opened_by_a_command_do_not_get_the_numbers_of_closed_ones(
    closed: str, tmp_path: Path
) -> None:
    code = """if True:
        import os, sys
        from vllmd.cli import main as program
        def command(**_):
            with open(sys.argv[1], "w") as file:
                usable = all((sys.stdin, sys.stdout, sys.stderr))
                print(file.fileno() > 2, usable, all(map(os.get_inheritable, range(3))), file=file)
        program.cli.main = command
        program.main()
    """
    found = tmp_path / "found"
    found.touch()
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code, str(found)]
    assert subprocess.run(shell, check=False).returncode == 0
    assert found.read_text() == "True True True\n"


@pytest.mark.parametrize(("command", "ignored"), [("run", True), ("status", False)])
def test_main_ignores_a_hangup_from_the_first_line_of_a_daemon_on(
    command: str, ignored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    seen: list[object] = []
    monkeypatch.setattr(cli, "main", lambda **_: seen.append(signal.getsignal(signal.SIGHUP)))
    try:
        with pytest.raises(SystemExit):
            main([command])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [signal.SIG_IGN if ignored else signal.SIG_DFL]
