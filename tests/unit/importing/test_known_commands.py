import pytest

from vllmd.errors import VllmdError
from vllmd.importing.known_commands import CONTAINER_ENGINES, HARMLESS, ONLY_SPEAK
from vllmd.importing.source import Source, read
from vllmd.importing.surroundings import Notes, Surroundings

SERVE = "vllm serve org/model --port 8001"


@pytest.mark.parametrize("command", sorted(ONLY_SPEAK))
def test_command_that_only_names_a_server_starts_none(command: str) -> None:
    with pytest.raises(VllmdError):
        read(Source(f"{command} vllm\n"), Surroundings(), Notes())
    found = read(Source(f"{command} vllm\n{SERVE}\n"), Surroundings(), Notes())
    assert len(found) == 1


def test_harmless_commands_are_not_spoken_of() -> None:
    for command in sorted(HARMLESS - CONTAINER_ENGINES):
        notes = Notes()
        read(Source(f"{command} x\n{SERVE}\n"), Surroundings(), notes)
        assert not any(command in remark for remark in notes.remarks), (command, notes.remarks)


def test_container_engines_are_those_whose_commands_are_read() -> None:
    for engine in sorted(CONTAINER_ENGINES):
        text = f"{engine} run -p 8001:8000 vllm/vllm-openai:v0.9.0 --model org/model\n"
        assert len(read(Source(text), Surroundings(), Notes())) == 1
