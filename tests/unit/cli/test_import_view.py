"""What is shown fits the terminal, and says each thing once."""

import pytest
from click.testing import CliRunner

from vllmd.cli import terminal
from vllmd.cli.import_ import command


@pytest.mark.parametrize("columns", [80, 120])
def test_lines_are_broken_at_the_width(columns: int) -> None:
    with terminal.of_width(columns):
        result = CliRunner().invoke(
            command, ["vllm serve org/m --disable-log-requests --api-key k"]
        )
    assert result.exit_code == 0
    assert max(map(len, result.stderr.splitlines())) <= columns


def test_what_every_engine_has_stands_once() -> None:
    result = CliRunner().invoke(command, ["vllm serve a --port 1 & vllm serve b --port 2 &"])
    assert result.stderr.count("every engine of vllmd has too") == 1
    assert result.stderr.count("PYTHONUNBUFFERED") == 1
    assert result.stderr.count("then and now") == 2
