"""A table of cron as the commands that it starts."""

import pytest

from vllmd.importing.crontab import commands_of, is_crontab


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("@reboot vllm serve m", "vllm serve m"),
        ("0 4 * * 1 vllm serve m", "vllm serve m"),
        ("*/5 0-3,7 1 jan mon-fri vllm serve m", "vllm serve m"),
    ],
)
def test_command_stands_behind_its_time(text: str, command: str) -> None:
    whole = f"# comment\nMAILTO=x\n\n{text}\n"
    assert is_crontab(whole)
    assert commands_of(whole).splitlines()[3] == command


@pytest.mark.parametrize("text", ["vllm serve m", "", "# x", "@reboot vllm serve m\nvllm serve n"])
def test_other_texts_are_none(text: str) -> None:
    assert not is_crontab(text)
