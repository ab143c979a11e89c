"""`vllmd dashboard`: files, and a Grafana that takes or refuses them (a local server of ours)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from tests.helpers.listening import Handler, listening
from tests.helpers.ports import free_port
from vllmd.cli.dashboard import command
from vllmd.errors import VllmdError
from vllmd.monitoring.dashboards import DASHBOARDS

TOKEN = "glsa_secret_of_grafana"


@attrs.define
class Grafana:
    url: str = ""
    folders: list[dict[str, str]] = attrs.field(factory=list)
    taken: list[dict[str, Any]] = attrs.field(factory=list)
    tokens: set[str] = attrs.field(factory=set)
    refusal: tuple[int, str] | None = None


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    made = Grafana()

    class Answers(Handler):
        def reply(self) -> None:
            made.tokens.add(self.headers["authorization"])
            if made.refusal:
                self.answer(made.refusal[0], made.refusal[1].encode())
            elif self.command == "GET":
                self._json(made.folders)
            elif self.path == "/api/folders":
                made.folders.append({"uid": "f1", **json.loads(self.body())})
                self._json(made.folders[-1])
            else:
                made.taken.append(json.loads(self.body()))
                self._json({"url": f"/d/{made.taken[-1]['dashboard']['uid']}"})

        def _json(self, value: Any) -> None:
            self.answer(200, json.dumps(value).encode(), "application/json")

    with listening(Answers) as made.url:
        yield made


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def run(*arguments: str, **env: str) -> Result:
    env = {"GRAFANA_TOKEN": "", **env}
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False, env=env)


def test_export_writes_all_or_prints_one(tmp_path: Path) -> None:
    run("export", "-o", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.json" for name in DASHBOARDS}
    assert json.loads(run("export", "gpu").output)["uid"] == "vllmd-gpu"


def test_export_of_nothing_names_what_there_is() -> None:
    result = CliRunner().invoke(command, ["export"])
    assert result.exit_code == 2
    assert "overview, fleet, engine, gpu" in result.output


@pytest.mark.long
def test_install_makes_the_folder_and_puts_all_there(grafana: Grafana, token_file: Path) -> None:
    result = run("install", "--grafana", f"{grafana.url}/", "--token-file", str(token_file))
    assert [folder["title"] for folder in grafana.folders] == ["vllmd"]
    assert [each["dashboard"]["uid"] for each in grafana.taken] == [
        build()["uid"] for build in DASHBOARDS.values()
    ]
    assert all(each["folderUid"] == "f1" and each["overwrite"] for each in grafana.taken)
    assert grafana.tokens == {f"Bearer {TOKEN}"}
    assert f"{grafana.url}/d/vllmd-gpu" in result.output


@pytest.mark.long
def test_install_again_uses_the_folder_that_is_there(grafana: Grafana, token_file: Path) -> None:
    grafana.folders = [{"uid": "mine", "title": "LLM"}]
    arguments = ["--grafana", grafana.url, "--token-file", str(token_file), "--folder", "LLM"]
    shown = json.loads(run("install", *arguments, "--json").output)
    assert len(grafana.folders) == 1
    assert {each["folderUid"] for each in grafana.taken} == {"mine"}
    assert [each["name"] for each in shown] == list(DASHBOARDS)


@pytest.mark.long
def test_token_may_come_from_the_environment(grafana: Grafana) -> None:
    run("install", "--grafana", grafana.url, GRAFANA_TOKEN=TOKEN)
    assert grafana.tokens == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "wrong or has expired"), (403, "the role Editor"), (500, "its log says more")],
)
def test_refusal_says_why_and_never_the_token(
    grafana: Grafana, token_file: Path, status: int, words: str
) -> None:
    grafana.refusal = (status, f"no: {TOKEN}")
    with pytest.raises(VllmdError, match=words) as refused:
        run("install", "--grafana", grafana.url, "--token-file", str(token_file))
    assert TOKEN not in str(refused.value)
    assert str(status) in str(refused.value)


def test_what_is_no_grafana_is_said(grafana: Grafana, token_file: Path) -> None:
    arguments = ["--token-file", str(token_file)]
    grafana.refusal = (200, "<html>")
    with pytest.raises(VllmdError, match="answers, but not as Grafana does"):
        run("install", "--grafana", grafana.url, *arguments)
    for url in (f"http://127.0.0.1:{free_port()}", "grafana.example", "http://[bad"):
        with pytest.raises(VllmdError, match="does not answer"):
            run("install", "--grafana", url, *arguments)


def test_missing_and_empty_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VllmdError, match="neither --token-file nor GRAFANA_TOKEN is set"):
        run("install", "--grafana", "http://g")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(VllmdError, match="empty is empty; make a service account"):
        run("install", "--grafana", "http://g", "--token-file", str(tmp_path / "empty"))
