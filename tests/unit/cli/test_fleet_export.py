import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from vllmd.cli import fleet_export
from vllmd.cli.fleet_export import FORMATS, export, follow_router
from vllmd.fleet.exports.services import FleetService

TWO = """
[fleet]
name = "prod"
hosts = ["gpu01", "gpu02"]
[engines.chat]
model = "org/chat"
[engines.small]
model = "org/small"
port = 8001
"""


def exported(folder: Path, *words: str, text: str = TWO) -> str:
    config = folder / "vllmd.toml"
    config.write_text(text)
    result = CliRunner().invoke(export, [*words, "-c", str(config)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_names_every_host_or_engine(tmp_path: Path, form: str) -> None:
    text = exported(tmp_path, form)
    wanted = ("vllmd fleet restart",) if form == "systemd" else ("gpu01", "gpu02")
    assert all(word in text for word in wanted)


def test_one_engine_alone_and_its_port_are_chosen(tmp_path: Path) -> None:
    text = exported(tmp_path, "haproxy", "small", "--port", "9000")
    assert "bind :9000" in text
    assert "chat" not in text


def test_files_are_written_to_a_folder(tmp_path: Path) -> None:
    output = exported(tmp_path, "prometheus", "-o", str(tmp_path / "out"))
    assert "wrote" in output
    targets = json.loads((tmp_path / "out" / "vllmd-targets.json").read_text())
    assert targets[0]["labels"] == {"fleet": "prod"}


def test_without_hosts_this_host_is_the_only_one(tmp_path: Path) -> None:
    text = exported(tmp_path, "haproxy", text='[engines.chat]\nmodel = "m"\n')
    assert "server 127.0.0.1:chat 127.0.0.1:8000 port 9840" in text


def test_an_engine_that_is_none_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "vllmd.toml"
    config.write_text(TWO)
    for command, words in (
        (export, ["haproxy", "x"]),
        (follow_router, ["x", "--router", "http://r"]),
    ):
        found = CliRunner().invoke(command, [*words, "-c", str(config)])
        assert "no engine 'x' is configured; there is: chat, small" in str(found.exception)


NAMED_TWICE = """
[fleet]
hosts = ["gpu01"]
[engines.llama]
model = "org/x"
port = 8001
[engines.other]
model = "org/y"
served_model_name = "llama"
port = 8002
"""


def test_an_engines_name_goes_before_a_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[str] = []

    async def follow(_view: object, service: FleetService, _url: str) -> None:
        followed.extend(each.netloc for each in service.replicas)

    monkeypatch.setattr(fleet_export, "_follow", follow)
    config = tmp_path / "vllmd.toml"
    config.write_text(NAMED_TWICE)
    words = ["llama", "--router", "http://r", "-c", str(config)]
    found = CliRunner().invoke(follow_router, words)
    assert found.exit_code == 0, found.exception
    assert followed == ["gpu01:8001"]
    text = exported(tmp_path, "haproxy", "llama", text=NAMED_TWICE)
    assert "gpu01:8001" in text
    assert "gpu01:8002" not in text
