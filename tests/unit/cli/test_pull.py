"""`vllmd pull`: which model is meant, and what is printed."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.helpers.hub import COMMIT, FakeHub, serving
from vllmd.cli.pull import command
from vllmd.config import credentials
from vllmd.config.credentials import Credentials
from vllmd.errors import VllmdError

WEIGHTS = b"w" * 40_000


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Return a hub with one model, which this process's environment names."""
    files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    with serving(FakeHub(files)) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HF_HUB_CACHE", raising=False)
        monkeypatch.setattr("vllmd.cli.pull.service.find", lambda: None)
        yield made


def run(tmp_path: Path, *words: str, config: str = "") -> Result:
    path = tmp_path / "v.toml"
    path.write_text(config)
    where = ["--config", str(path), "--socket", str(tmp_path / "no.sock")]
    return CliRunner().invoke(command, [*words, *where], catch_exceptions=False)


def test_pull_tells_what_came_and_where_it_is(hub: FakeHub, tmp_path: Path) -> None:
    result = run(tmp_path, "org/m")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "hf" / "hub" / "models--org--m" / "snapshots" / COMMIT
    assert result.stdout.splitlines() == [
        "org/m at c0ffee000000 is here: 2 files, 39.1 KiB, verified (39.1 KiB came)",
        f"  {folder}",
    ]
    said = result.stderr.splitlines()
    assert said[0] == "  0%  0 B of 39.1 KiB"
    assert said[-1] == "100%  39.1 KiB of 39.1 KiB"
    assert "39.1 KiB, nothing new came\n" in run(tmp_path, "org/m").stdout
    (folder / "model.safetensors").resolve().write_bytes(b"x" * len(WEIGHTS))
    said = run(tmp_path, "org/m", "--verify").stdout.splitlines()
    assert said[0].endswith("2 files, 39.1 KiB, verified (39.1 KiB came)")
    assert said[1] == "  model.safetensors was not what the hub says, and came anew"


def test_pull_json_is_all_that_is_printed(hub: FakeHub, tmp_path: Path) -> None:
    result = run(tmp_path, "org/m", "--json")
    shown = json.loads(result.stdout)
    assert result.stderr == ""
    assert (shown["model"], shown["commit"], shown["files"]) == ("org/m", COMMIT, 2)
    assert shown["bytes"] == shown["downloaded_bytes"] == len(WEIGHTS) + 2


def test_pull_of_a_model_without_weights_warns(hub: FakeHub, tmp_path: Path) -> None:
    del hub.files["model.safetensors"]
    result = run(tmp_path, "org/m")
    assert result.exit_code == 0
    warning = "warning: org/m has no weights at 'main' (.safetensors, .bin, .pt, .pth, .gguf): no"
    assert f"{warning} engine can serve it" in " ".join(result.stderr.split())
    result = run(tmp_path, "org/m", "--json")
    assert json.loads(result.stdout)["weights"] == 0
    assert "warning" in result.stderr


def test_pull_of_an_engine_takes_its_model_and_its_folders(hub: FakeHub, tmp_path: Path) -> None:
    config = (
        f'[engines.chat]\nmodel = "org/m"\nenv = {{ HF_HOME = "{tmp_path}/own" }}\n'
        'flags = { revision = "v9" }\n'
    )
    for word in ("chat", "org/m"):
        with pytest.raises(VllmdError, match="no revision 'v9'"):
            run(tmp_path, word, config=config)
    result = run(tmp_path, "chat", "--revision", "main", config=config)
    assert f"{tmp_path}/own/hub/models--org--m" in result.stdout


def test_pull_token_is_that_of_the_credentials(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "planted-token"
    with pytest.raises(VllmdError, match="no token was given"):
        run(tmp_path, "org/m")
    kept = Credentials({"hf_token": "planted-token"})
    monkeypatch.setattr(credentials, "read", lambda: kept)
    assert run(tmp_path, "org/m").exit_code == 0
    monkeypatch.setenv("HF_TOKEN", "of-the-terminal")
    with pytest.raises(VllmdError, match="is not taken"):
        run(tmp_path, "org/m")


def test_pull_of_a_folder_and_of_no_name_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(VllmdError, match="is a folder on this host"):
        run(tmp_path, str(tmp_path))
    for word in ("a/b/c", "./m", "../m", "org/m.", "org/-m"):
        result = run(tmp_path, word)
        assert result.exit_code == 2
        assert "is no name on the hub, such as Qwen/Qwen3-8B" in result.output


def test_pull_completes_engines_and_their_models(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_text('[engines.chat]\nmodel = "org/m"\n[engines.big]\nmodel = "/srv/m"\nport = 1\n')
    argument = next(each for each in command.params if each.name == "model")
    context = click.Context(command)
    context.params["config_path"] = path
    found = {each.value for each in argument.shell_complete(context, "")}
    assert found == {"chat", "org/m", "big"}
    assert [each.value for each in argument.shell_complete(context, "or")] == ["org/m"]
