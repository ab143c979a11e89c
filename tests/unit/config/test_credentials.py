import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from vllmd.config import credentials
from vllmd.config.command import build
from vllmd.config.credentials import FOLDER, Credentials, read
from vllmd.config.load import parse
from vllmd.config.model import Config
from vllmd.config.problem import ConfigProblem
from vllmd.config.secret_values import forward_headers, secrets_of
from vllmd.util.redact import MASK

TWO = '[engines.chat]\nmodel = "m"\n[engines.code]\nmodel = "m"\nport = 8001\n'


def write(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def parsed(
    folder: Path, files: Mapping[str, str], toml: str = TWO
) -> tuple[Config, list[ConfigProblem]]:
    return parse(toml, "vllmd.toml", read({}, write(folder / "credentials", files)))


def test_a_secret_for_all_becomes_a_variable_of_each_engine(tmp_path: Path) -> None:
    config, problems = parsed(tmp_path, {"hf_token": "hf_1\n", "api_key": "k1\n"})
    assert problems == []
    for engine in config.engines.values():
        assert engine.env == {"HF_TOKEN": "hf_1", "VLLM_API_KEY": "k1"}
        assert build(engine).api_key == "k1"


def test_a_secret_of_one_engine_is_before_the_one_for_all(tmp_path: Path) -> None:
    config, problems = parsed(tmp_path, {"api_key": "all", "api_key.code": "own"})
    assert problems == []
    assert [e.env["VLLM_API_KEY"] for e in config.engines.values()] == ["all", "own"]


def test_any_variable_may_be_a_file_for_all_engines_or_for_one(tmp_path: Path) -> None:
    files = {
        "env.AWS_SECRET_ACCESS_KEY": "s3cret/for+all",
        "env.AWS_SECRET_ACCESS_KEY.code": "s3cret/of+code",
        "env.DATABASE.chat": "two words\nand a line",
        "hf_token": "hf_1",
        "env.HF_TOKEN": "hf_other",
    }
    toml = TWO.replace('"m"\n[', '"m"\nenv = { DATABASE = "mine", X = "y" }\n[')
    config, problems = parsed(tmp_path, files, TWO)
    assert problems == []
    chat, code = config.engines.values()
    assert chat.env["AWS_SECRET_ACCESS_KEY"] == "s3cret/for+all"
    assert chat.env["DATABASE"] == "two words\nand a line"
    assert code.env["AWS_SECRET_ACCESS_KEY"] == "s3cret/of+code"
    assert "DATABASE" not in code.env
    assert code.env["HF_TOKEN"] == "hf_1"
    shown = build(chat).masked_own_env()
    assert {shown["DATABASE"], shown["AWS_SECRET_ACCESS_KEY"]} == {MASK}, "whatever its name says"
    assert {"two words\nand a line", "and a line"} <= set(secrets_of(config, {}))
    own, _ = parsed(tmp_path, files, toml)
    assert own.engines["chat"].env["DATABASE"] == "mine"
    assert build(own.engines["chat"]).masked_own_env()["DATABASE"] == "mine"


def test_what_the_configuration_says_itself_wins(tmp_path: Path) -> None:
    toml = '[engines.chat]\nmodel = "m"\nenv = { HF_TOKEN = "mine" }\n'
    toml += '[notify]\nwebhook_url = "https://a.example/x"\n'
    files = {"hf_token": "theirs", "webhook": "https://b.example/y"}
    config, problems = parsed(tmp_path, files, toml)
    assert problems == []
    assert config.engines["chat"].env["HF_TOKEN"] == "mine"
    assert config.notify.webhook_url == "https://a.example/x"


def test_webhook_and_headers_need_no_key_in_the_configuration(tmp_path: Path) -> None:
    files = {"webhook": "https://b.example/y\n", "otlp_headers": "Authorization: Bearer t\n"}
    config, problems = parsed(tmp_path, files)
    assert problems == []
    assert config.notify.webhook_url == "https://b.example/y"
    assert forward_headers(config.traces.forward) == {"Authorization": "Bearer t"}


def test_all_of_them_are_masked(tmp_path: Path) -> None:
    files = {"hf_token": "hf_1", "api_key": "k1", "webhook": "https://b.example/y"}
    config, _ = parsed(tmp_path, files)
    assert {"hf_1", "k1", "https://b.example/y"} <= set(secrets_of(config, {}))
    engine = config.engines["chat"]
    assert "hf_1" not in str(build(engine).masked_own_env())
    assert "hf_1" not in repr(Credentials(values={"hf_token": "hf_1"}))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"hf-token": "x"}, 'hf-token is read by nothing; did you mean "hf_token"?'),
        ({"zzz": "x"}, "zzz is read by nothing; vllmd knows hf_token, api_key, webhook"),
        ({"webhook.chat": "https://x.example"}, "webhook.chat is read by nothing"),
        ({"api_key.chta": "x"}, "'chta' that is not configured; did you mean \"chat\"?"),
        ({"env.A B": "x"}, "env.A B is read by nothing"),
        ({"env": "x"}, "env is read by nothing"),
        ({"env.TOKEN.chta": "x"}, "'chta' that is not configured; did you mean \"chat\"?"),
        ({"env.TOKEN": "a\0b"}, "env.TOKEN has a NUL character in it"),
        ({"api_key": " \n"}, "api_key is empty; write the secret into it"),
        ({"api_key": "two words"}, "api_key is not one word; write the secret alone"),
        ({"webhook": "example"}, "webhook is not an http or https URL"),
    ],
)
def test_a_file_that_is_of_no_use_is_named(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    config, problems = parsed(tmp_path, files)
    (problem,) = problems
    assert said in problem.format("x"), problem
    assert str(FOLDER) in problem.message
    assert config.engines["chat"].env == {}


def test_a_file_that_the_configuration_names_is_in_use(tmp_path: Path) -> None:
    toml = TWO + f'[notify]\nwebhook_url_file = "{FOLDER}/slack"\n'
    config, problems = parsed(tmp_path, {"slack": "https://x.example/y"}, toml)
    assert problems == []
    assert config.notify.webhook_url_file == str(tmp_path / "credentials/slack"), (
        "where it may read"
    )


def test_a_service_reads_what_systemd_gave_it_and_nothing_else(tmp_path: Path) -> None:
    given = write(tmp_path / "given", {"vllmd_api_key": "from systemd", "other": "x"})
    host = write(tmp_path / "host", {"api_key": "from the host", "hf_token": "x"})
    found = read({"CREDENTIALS_DIRECTORY": str(given)}, host)
    assert found.values == {"api_key": "from systemd"}
    assert found.files == {"api_key": given / "vllmd_api_key"}


def test_a_service_says_what_it_was_given_and_cannot_read(tmp_path: Path) -> None:
    given = write(tmp_path / "given", {})
    (given / "vllmd_api_key").write_bytes(b"\xff")
    found = read({"CREDENTIALS_DIRECTORY": str(given)}, tmp_path)
    assert "api_key is not text" in found.problems[0].message
    assert found.values == {}


def test_a_service_says_which_files_came_too_late_for_it(tmp_path: Path) -> None:
    host = write(tmp_path / "host", {"api_key": "new"})
    given = write(tmp_path / "given", {})
    (problem,) = read({"CREDENTIALS_DIRECTORY": str(given)}, host).problems
    assert "api_key came after the daemon started" in problem.message
    assert "systemctl restart vllmd-daemon" in problem.fix


def test_a_service_without_a_folder_says_which_files_it_may_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError

    write(tmp_path, {"api_key": "k"})
    monkeypatch.setattr(credentials, "read_regular", refuse)  # root may read every file
    (problem,) = read({"INVOCATION_ID": "1"}, tmp_path).problems
    assert "api_key came after the daemon started" in problem.message
    assert read({}, tmp_path) == credentials.NO_SECRETS


def test_a_service_that_may_not_read_what_it_was_given_reads_the_hosts(tmp_path: Path) -> None:
    host = write(tmp_path / "host", {"api_key": "shared"})
    found = read({"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}, host)
    assert found.values == {"api_key": "shared"}
    (problem,) = found.problems
    assert "cannot be read" in problem.message
    assert "group vllmd" in problem.fix
    assert read({"CREDENTIALS_DIRECTORY": "/none"}, tmp_path / "none") == credentials.NO_SECRETS


def test_an_empty_file_that_was_given_is_not_late(tmp_path: Path) -> None:
    given = write(tmp_path / "given", {"vllmd_api_key": ""})
    host = write(tmp_path / "host", {"api_key": ""})
    (problem,) = read({"CREDENTIALS_DIRECTORY": str(given)}, host).problems
    assert "is empty" in problem.message


def test_a_host_without_the_folder_has_no_secrets(tmp_path: Path) -> None:
    assert read({}, tmp_path / "none") == credentials.NO_SECRETS


def test_a_secret_that_is_no_file_is_said_and_waits_for_nobody(tmp_path: Path) -> None:
    folder = write(tmp_path / "credentials", {"hf_token": "hf_1\n"})
    os.mkfifo(folder / "api_key")
    found = read({}, folder)
    assert found.values == {"hf_token": "hf_1"}
    [problem] = found.problems
    assert "api_key cannot be read: it is a FIFO" in problem.message


def test_several_keys_are_a_file_that_vllm_reads_and_the_first_is_vllmds_own(
    tmp_path: Path,
) -> None:
    config, problems = parsed(tmp_path, {"api_key": "k-one\n\n k-two \n"})
    chat = config.engines["chat"]
    assert problems == []
    built = build(chat, {}, run=Path("/run/vllmd"))
    assert built.api_key == "k-one"
    assert built.key_file is not None
    assert built.argv[-2:] == ("--config", "/run/vllmd/api-keys/chat.yaml")
    assert built.key_file.path == Path("/run/vllmd/api-keys/chat.yaml")
    assert json.loads(built.key_file.text) == {"api-key": ["k-one", "k-two"]}
    assert {"k-one", "k-two"} <= set(secrets_of(config, {}))
    assert "k-two" not in f"{chat!r} {built!r} {built.argv} {built.env}"
    other, _ = parsed(tmp_path, {"api_key": "k-one\nk-three\n"})
    assert build(other.engines["chat"], {}, run=Path("/run/vllmd")).hash != built.hash


def test_comment_is_no_key_and_is_named_by_its_line_alone(tmp_path: Path) -> None:
    config, problems = parsed(tmp_path, {"api_key": "#team-a\nk-one\n\n # team-b\nk-two\n"})
    assert config.engines["chat"].api_keys == ("k-one", "k-two")
    assert build(config.engines["chat"], {}, run=Path("/run/vllmd")).api_key == "k-one"
    said = [each.message for each in problems]
    assert ["api_key line 1 begins" in said[0], "api_key line 4 begins" in said[1]] == [True, True]
    assert "team" not in " ".join(said)


def test_comment_alone_is_no_key(tmp_path: Path) -> None:
    config, problems = parsed(tmp_path, {"api_key": "#team-a\n"})
    assert build(config.engines["chat"], {}).api_key is None
    assert "is empty" in problems[-1].message


def test_one_key_is_a_variable_and_no_file(tmp_path: Path) -> None:
    config, _ = parsed(tmp_path, {"api_key": "k-one\n"})
    built = build(config.engines["chat"], {})
    assert (built.key_file, "--config" in built.argv) == (None, False)


@pytest.mark.parametrize(
    ("keys", "engine", "said"),
    [
        ("k-one\ntwo words\n", "", "has a line that is not one word"),
        ("k-one\n-k\n", "", "begins with '-'"),
        ("k-one\nk-two\n", 'flags = { config = "/x.yaml" }', "flags.config of chat is set"),
    ],
)
def test_keys_that_vllm_would_not_take_leave_the_first(
    tmp_path: Path, keys: str, engine: str, said: str
) -> None:
    toml = f'[engines.chat]\nmodel = "m"\n{engine}\n'
    config, problems = parsed(tmp_path, {"api_key": keys}, toml)
    (problem,) = problems
    assert said in problem.message
    assert build(config.engines["chat"]).key_file is None
    assert build(config.engines["chat"]).api_key == "k-one"


def test_key_of_the_engines_own_table_is_the_only_one(tmp_path: Path) -> None:
    toml = '[engines.chat]\nmodel = "m"\nenv = { VLLM_API_KEY = "mine" }\n'
    config, problems = parsed(tmp_path, {"api_key": "k-one\nk-two\n"}, toml)
    assert problems == []
    assert build(config.engines["chat"]).key_file is None
