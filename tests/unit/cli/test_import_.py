"""`vllmd import`: from a line, a file and standard input; nothing is overwritten."""

import json
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from vllmd.cli import import_, import_check
from vllmd.cli.import_ import command
from vllmd.cli.import_process import Running
from vllmd.config.load import load
from vllmd.errors import VllmdError
from vllmd.importing.comparison import Comparison, Difference, compare

LINE = "nohup vllm serve org/m --port 8001 --api-key k3y >> x.log 2>&1 &"


def run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(command, list(arguments), input=text, catch_exceptions=False)


def test_line_becomes_a_configuration_and_the_rest_is_said() -> None:
    result = run(LINE, "--name", "chat")
    assert '[engines.chat]\nmodel = "org/m"\nhost = "0.0.0.0"\nport = 8001\n' in result.stdout
    assert "nohup and &" in result.stderr
    assert "/etc/vllmd/credentials/api_key" in result.stderr
    assert "k3y" not in result.output


def test_file_and_standard_input_are_read(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text(f"#!/bin/sh\n{LINE}\n")
    assert run(str(tmp_path / "run.sh")).stdout == run("-", text=LINE).stdout == run(LINE).stdout


def test_command_line_needs_no_quotes() -> None:
    words = ["vllm", "serve", "org/m", "--port", "8001", "-tp", "2"]
    assert run(*words).stdout == run(" ".join(words)).stdout
    assert "tensor-parallel-size = 2" in run("--name", "x", *words).stdout


def test_script_of_two_engines_becomes_two_tables(tmp_path: Path) -> None:
    (tmp_path / "two.sh").write_text("vllm serve a --port 1 &\nvllm serve b --port 2 &\nwait\n")
    result = run(str(tmp_path / "two.sh"), "--name", "chat")
    engines = tomllib.loads(result.stdout)["engines"]
    assert {name: each["port"] for name, each in engines.items()} == {"chat": 1, "chat-2": 2}
    assert result.stderr.count("nohup and &") == 1


def test_address_that_vllm_listens_on_is_kept_and_said() -> None:
    result = run("vllm serve org/m")
    assert tomllib.loads(result.stdout)["engines"]["main"]["host"] == "0.0.0.0"
    assert "without --host vLLM listens on all addresses" in result.stderr
    assert 'host = "127.0.0.1"' in run("vllm serve org/m --host 127.0.0.1").stdout


def test_json_has_the_file_and_both_commands() -> None:
    shown = json.loads(run(LINE, "--json").stdout)
    assert set(shown) == {"toml", "remarks", "engines", "secrets", "written", "next"}
    (engine,) = shown["engines"]
    assert engine["then"] == "vllm serve org/m --port 8001 --api-key '********'"
    assert all(each["reason"] for each in engine["differences"])
    assert shown["secrets"] == [{"file": "api_key", "known": True}]


def test_file_and_secrets_are_written_once_and_not_for_others(tmp_path: Path) -> None:
    path, folder = tmp_path / "vllmd.toml", tmp_path / "credentials"
    options = ["-o", str(path), "--credentials", str(folder)]
    assert run(LINE, *options).stdout == ""
    assert load(path)[0].engines["main"].port == 8001
    assert (folder / "api_key").read_text() == "k3y\n"
    assert [p.stat().st_mode & 0o777 for p in (path, folder / "api_key")] == [0o640, 0o600]
    with pytest.raises(VllmdError, match="is there already: it is not overwritten"):
        run(LINE, *options)
    path.unlink()
    run(LINE, *options)  # the same secret is there
    path.unlink()
    (folder / "api_key").write_text("another\n")
    with pytest.raises(VllmdError, match="api_key is there already"):
        run(LINE, *options)
    assert not path.exists()
    with pytest.raises(VllmdError, match="cannot write"):
        run("vllm serve m", "-o", str(tmp_path / "no" / "vllmd.toml"))


def test_secrets_are_said_to_be_where_they_are(tmp_path: Path) -> None:
    line = "AWS_SECRET_ACCESS_KEY=abcdefgh " + LINE
    assert "--output does that: env.AWS_SECRET_ACCESS_KEY, api_key" in run(line).stderr
    options = ["-o", str(tmp_path / "a.toml"), "--credentials", str(tmp_path / "credentials")]
    said = run(line, *options).stderr
    assert "not in the configuration: env.AWS_SECRET_ACCESS_KEY, api_key" in said
    assert "put these files into /etc/vllmd/credentials" in said
    (tmp_path / "a.toml").unlink()
    again = run(line, *options).stderr  # the same secrets are there already
    assert "not in the configuration: env.AWS_SECRET_ACCESS_KEY, api_key" in again
    assert "--output" not in again


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/no/such/file", "there is no file /no/such/file; give one, or a whole command line"),
        ("vllm serve --port 1", "names no model"),
        ("vllm serve m --port 99999999", "cannot be used as it is"),
        ("vllm serve m --port $PORT", r"command line:1: \$PORT: it is set nowhere"),
    ],
)
def test_refusal_says_what_to_do(source: str, words: str) -> None:
    with pytest.raises(VllmdError, match=words):
        run(source)


def test_all_problems_are_said_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "vllmd.toml"
    with pytest.raises(VllmdError) as raised:
        run("vllm serve $M --port $P --chat-template ~/t", "-o", str(path))
    assert str(raised.value).count("command line:1:") == 3
    assert not path.exists()


def test_then_and_now_stand_beside_each_other_with_their_reasons() -> None:
    result = run("vllm serve org/m --disable-log-requests")
    assert result.exit_code == 0
    shown = " ".join(result.stderr.split())
    assert "main, then and now" in shown
    assert "- --disable-log-requests vLLM has it no more" in shown
    assert "enable-log-requests = true" not in result.stdout


def test_a_source_or_a_process_is_needed() -> None:
    assert run().exit_code == 2
    assert run("vllm serve m", "--pid", "1").exit_code == 2


def classic(folder: Path) -> list[str]:
    """Write the recipe of the blog posts: a unit, its script and variables, a stanza."""
    (folder / "env").write_text('# secrets\nHF_HOME="/srv/hf"\nPORT=8005\n')
    script = folder / "start.sh"
    script.write_text("#!/bin/bash\nexec /opt/vllm/bin/vllm serve org/model --port $PORT\n")
    unit = folder / "vllm.service"
    unit.write_text(
        f"[Service]\nUser=llm\nEnvironment=CUDA_VISIBLE_DEVICES=1\nEnvironmentFile=-{folder}/env\n"
        f"ExecStart=/bin/bash {script}\nRestart=on-failure\n"
    )
    stanza = folder / "vllm"
    stanza.write_text(f"{folder}/vllm.log {{\n  weekly\n  rotate 8\n  copytruncate\n}}\n")
    return [str(unit), str(stanza)]


def test_a_unit_its_script_its_variables_and_a_stanza_become_one_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, classic(tmp_path))
    assert result.exit_code == 0, result.output
    made = tomllib.loads(result.stdout)
    engine = made["engines"]["main"]
    assert (engine["model"], engine["port"]) == ("org/model", 8005)
    assert engine["executable"] == "/opt/vllm/bin/vllm"
    assert engine["env"] == {"CUDA_VISIBLE_DEVICES": "1", "HF_HOME": "/srv/hf"}
    assert made["logs"] == {"rotate": "weekly", "keep": 8}
    for said in ("Restart=", "User=: engines run as user vllmd", "copytruncate"):
        assert said in result.stderr


def test_a_unit_whose_script_is_not_there_says_what_was_looked_for(tmp_path: Path) -> None:
    unit, _ = classic(tmp_path)
    (tmp_path / "start.sh").unlink()
    result = CliRunner().invoke(command, [unit])
    assert isinstance(result.exception, VllmdError)
    assert "no command that serves was found" in str(result.exception)
    assert "start.sh, which cannot be read here" in str(result.exception)


def test_two_launches_at_once_are_refused(tmp_path: Path) -> None:
    unit, stanza = classic(tmp_path)
    result = CliRunner().invoke(command, [unit, unit, stanza])
    assert result.exit_code == 2
    assert "there are 2 launches and 1 stanzas" in result.output


def test_difference_that_nobody_names_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgotten(*given: Any) -> Comparison:
        made = compare(*given)
        return attrs.evolve(made, differences=(Difference("--seed", "--seed 1", None, None),))

    assert run("vllm serve m --seed 1").exit_code == 0
    monkeypatch.setattr(import_, "compare", forgotten)
    result = run("vllm serve m --seed 1")
    assert result.exit_code == 1
    assert "- --seed 1" in result.stderr


@pytest.mark.parametrize(("seed", "code"), [("1", 0), ("2", 1)])
def test_check_ends_with_1_if_what_runs_is_another(
    monkeypatch: pytest.MonkeyPatch, seed: str, code: int
) -> None:
    runs = Running(7, ("m", "--seed", seed), {})
    monkeypatch.setattr(import_check, "running", lambda: iter([runs]))
    result = run("--check", "vllm serve m --seed 1")
    assert result.exit_code == code
    assert "process 7 runs as it was read" in result.stderr or code
