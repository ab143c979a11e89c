from click.testing import CliRunner

from vllmd.cli.fleet import command


def test_it_has_its_commands_and_guesses_none() -> None:
    assert sorted(command.commands) == ["export", "follow-router", "restart", "status", "upgrade"]
    found = CliRunner().invoke(command, ["restrat", "chat"])
    assert found.exit_code == 2
    assert "no such command 'restrat'; there are: " in found.output
