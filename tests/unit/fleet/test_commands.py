import sys

import pytest

from vllmd.config.fleet import FleetHost
from vllmd.errors import VllmdError
from vllmd.fleet.commands import MAX_OUTPUT_BYTES, HostCommandError, argv_for, run_on

HOST = FleetHost("gpu01", 9841)


def test_the_hosts_name_goes_where_the_command_says_and_words_behind_it() -> None:
    command = ("ssh", "-l", "ops", "root@{host}", "sudo", "vllmd")
    assert argv_for(command, HOST, ("restart", "chat")) == [
        *("ssh", "-l", "ops", "root@gpu01", "sudo", "vllmd", "restart", "chat"),
    ]


@pytest.mark.parametrize("word", ["a b", "$(reboot)", "x;y", "-x", "", "`x`", "a\nb", "../x"])
def test_what_a_shell_on_the_other_side_could_mistake_is_not_handed_on(word: str) -> None:
    with pytest.raises(VllmdError, match="is no word"):
        argv_for(("ssh", "{host}"), HOST, ("restart", word))


async def test_a_program_is_run_without_a_shell_and_its_end_is_told() -> None:
    code = "import sys; print(sys.argv[1]); print('why', file=sys.stderr); sys.exit(3)"
    result = await run_on([sys.executable, "-c", code, "$HOME; `x`"], 30)
    assert result.code == 3
    assert sorted(result.output.split("\n")) == ["$HOME; `x`", "why"]


async def test_one_that_prints_much_is_kept_at_its_end() -> None:
    code = f"print('x' * {3 * MAX_OUTPUT_BYTES}); print('the end')"
    output = (await run_on([sys.executable, "-c", code], 30)).output
    assert output.endswith("the end")
    assert len(output) <= MAX_OUTPUT_BYTES


async def test_one_that_is_missing_or_does_not_end_is_an_error() -> None:
    with pytest.raises(HostCommandError, match="/nowhere/ssh cannot be run: No such file"):
        await run_on(["/nowhere/ssh"], 1)
    with pytest.raises(HostCommandError, match=r"did not end within 0\.1 s"):
        await run_on([sys.executable, "-c", "import time; time.sleep(60)"], 0.1)
