"""The token that a script gives the hub's own client is that of the engines it starts."""

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.importing.launch import Launch
from vllmd.importing.source import Source, read
from vllmd.importing.surroundings import Notes, Surroundings


def launch(script: str) -> tuple[Launch, str]:
    notes = Notes()
    (found,) = read(Source(script), Surroundings(GivenFiles({}), "/srv"), notes)
    return found, " ".join(notes.remarks)


@pytest.mark.parametrize(
    "login",
    [
        "huggingface-cli login --token hf_aaaa",
        "hf auth login --token=hf_aaaa",
        "HF_TOKEN=hf_aaaa; /opt/venv/bin/hf auth login --add-to-git-credential --token $HF_TOKEN",
    ],
)
def test_token_of_a_login_is_that_of_the_engine(login: str) -> None:
    found, _ = launch(f"{login}\nvllm serve org/m\n")
    assert found.variables["HF_TOKEN"] == "hf_aaaa"
    found, _ = launch(f"vllm serve org/m\n{login}\n")
    assert "HF_TOKEN" not in found.variables, "it was given later"


def test_variable_goes_before_a_login() -> None:
    found, _ = launch("export HF_TOKEN=hf_bbbb\nhf auth login --token hf_aaaa\nvllm serve org/m\n")
    assert found.variables["HF_TOKEN"] == "hf_bbbb"


def test_token_that_a_login_asks_for_is_said() -> None:
    found, said = launch("hf auth login\nvllm serve org/m\n")
    assert "HF_TOKEN" not in found.variables
    assert "write it to /etc/vllmd/credentials/hf_token" in said
    _, said = launch("hf download org/m\ndocker login --token x\nvllm serve org/m\n")
    assert "credentials" not in said
