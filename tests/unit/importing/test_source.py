"""Which kind a launcher is; the corpus in tests/launchers has whole ones."""

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.errors import VllmdError
from vllmd.importing.source import Source, is_shell, read
from vllmd.importing.surroundings import Notes, Surroundings


def found(text: str, files: dict[str, str] | None = None) -> list[tuple[str, ...]]:
    around = Surroundings(GivenFiles(files or {}), "/srv")
    return [each.arguments for each in read(Source(text), around, Notes())]


def test_unit_is_followed_into_the_script_that_it_starts() -> None:
    files = {"/srv/run.sh": 'vllm serve m --port "$1"'}
    assert found("[Service]\nExecStart=/bin/sh /srv/run.sh 7\n", files) == [("m", "--port", "7")]


def test_configuration_of_vllm_comes_before_the_other_arguments() -> None:
    files = {"/srv/c.yaml": "model: x\nport: 1\n"}
    assert found("vllm serve --config c.yaml --port 2", files) == [
        ("--model", "x", "--port", "1", "--port", "2")
    ]
    assert found("vllm serve m --config=c.yaml", files) == [("m", "--port", "1")]


def test_nothing_found_says_what_was_looked_for_and_what_could_not_be_read() -> None:
    with pytest.raises(
        VllmdError, match=r"no command that serves .* it runs \./run.sh, which cannot"
    ):
        found("./run.sh\n")


def test_scripts_are_told_by_their_first_line() -> None:
    assert is_shell("#!/usr/bin/env bash\n")
    assert not is_shell("services:\n")
