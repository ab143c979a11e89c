import json
from pathlib import Path

from click.testing import CliRunner

from vllmd.cli.check import command

GOOD = '[engines.a]\nmodel = "m"\nexecutable = "sh"\nenv = { HF_TOKEN = "s3cret", A = "b c" }\n'


def check(tmp_path: Path, source: str, *more: str) -> tuple[int, str]:
    path = tmp_path / "v.toml"
    path.write_text(source)
    result = CliRunner().invoke(command, ["--config", str(path), *more])
    return result.exit_code, result.output


def test_check_good_file_shows_the_command_and_masks_secrets(tmp_path: Path) -> None:
    code, output = check(tmp_path, GOOD)
    assert code == 0
    assert "serve m --host 127.0.0.1 --port 8000" in output
    assert "HF_TOKEN='********'" in output
    assert "A='b c'" in output
    assert "s3cret" not in output


def test_check_broken_file_shows_all_and_exits_78(tmp_path: Path) -> None:
    code, output = check(tmp_path, "[engines.a]\nmodle = 1\nport = 0\n")
    assert code == 78
    assert len(output.splitlines()) == 3
    assert 'did you mean "model"?' in output


def test_check_missing_program_is_a_warning(tmp_path: Path) -> None:
    code, output = check(tmp_path, '[engines.a]\nmodel = "m"\nexecutable = "no-such-vllm"')
    assert code == 0
    assert "warning: engines.a.executable: no program 'no-such-vllm'" in output


def test_check_json_has_problems_and_commands(tmp_path: Path) -> None:
    code, output = check(tmp_path, GOOD, "--json")
    shown = json.loads(output)
    assert code == 0
    assert shown["problems"] == []
    assert shown["engines"]["a"]["argv"][1:3] == ["serve", "m"]
    assert shown["engines"]["a"]["env"]["HF_TOKEN"] == "********"
    code, output = check(tmp_path, "x = 1", "--json")
    assert code == 78
    assert json.loads(output)["problems"][0]["key"] == "x"


def test_check_no_engine_says_so(tmp_path: Path) -> None:
    assert "no engine is configured" in check(tmp_path, "")[1]
