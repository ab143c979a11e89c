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
    assert found("vllm serve m --config c.yaml", files) == [("m", "--port", "1")]


def test_configuration_that_vllm_does_not_read_is_refused() -> None:
    notes = Notes()
    around = Surroundings(GivenFiles({"/srv/c.yaml": "port: 1\n"}), "/srv")
    read(Source("vllm serve m --config=c.yaml"), around, notes)
    assert "and ran without it" in str(notes.problems)
    notes = Notes()
    read(Source("vllm serve m --config c.yaml --config c.yaml"), around, notes)
    assert "--config is given twice" in str(notes.problems)


def test_nothing_found_shows_no_secret() -> None:
    with pytest.raises(VllmdError, match="it runs") as raised:
        found("/opt/run.sh\n'/opt/go --api-key token-abc123'\n")
    assert "/opt/go --api-key" in str(raised.value)
    assert "token-abc123" not in str(raised.value)


def test_nothing_found_says_what_was_looked_for_and_what_could_not_be_read() -> None:
    with pytest.raises(
        VllmdError, match=r"no command that serves .* it runs \./run.sh, which cannot"
    ):
        found("./run.sh\n")


def test_scripts_are_told_by_their_first_line() -> None:
    assert is_shell("#!/usr/bin/env bash\n")
    assert not is_shell("services:\n")


def test_script_that_writes_a_unit_and_starts_it_is_followed() -> None:
    unit = "[Service]\nExecStart=/v/vllm serve $M\nE\n"
    text = f"M=a\nsudo tee /etc/systemd/system/x.service <<E\n{unit}"
    assert found(f"{text}sudo systemctl enable --now x.service\nsystemctl restart x") == [("a",)]
    with pytest.raises(VllmdError, match="no command that serves"):
        found(f"{text}systemctl daemon-reload")
    quadlet = "[Container]\nImage=vllm/vllm-openai:v0.30.0\nExec=--model $M\nE\n"
    text = f"M=a\ncat > /etc/containers/systemd/x.container <<E\n{quadlet}"
    assert found(f"{text}systemctl start x") == [("--model", "a")]


def test_script_that_starts_what_a_compose_file_says_is_followed() -> None:
    files = {"/srv/compose.yaml": "services: {v: {image: vllm/vllm-openai, command: [a]}}"}
    assert found("docker compose up -d", files) == [("a",)]
    assert found("cd /x\nvllm serve b\ndocker compose up -d", files) == [("b",)]


def test_files_that_a_script_writes_are_read_by_what_it_runs() -> None:
    text = "echo A=1 > /x.env\ndocker run --env-file /x.env vllm/vllm-openai m"
    (launch,) = read(Source(text), Surroundings(GivenFiles({}), "/srv"), Notes())
    assert launch.variables == {"A": "1"}
