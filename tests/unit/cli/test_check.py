import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.web import TLS, write
from vllmd.cli.check import command
from vllmd.doctor import host, service
from vllmd.doctor.seen import GpuFacts
from vllmd.util.units import GIB

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


def test_check_shows_what_keeps_the_weights_and_why_they_cannot_be_kept(tmp_path: Path) -> None:
    text = f'[engines.a]\nmodel = "{tmp_path}"\nexecutable = "sh"\npreload = true\n'
    (tmp_path / "config.json").write_text("{}")
    code, output = check(tmp_path, text)
    assert code == 0
    assert f"before it: /bin/sh preload --model {tmp_path}" in output.replace("/usr/bin", "/bin")
    shown = json.loads(check(tmp_path, text, "--json")[1])
    assert shown["engines"]["a"]["weights_argv"][1] == "preload"
    quantized = {"quantization_config": {"quant_method": "gptq"}}
    (tmp_path / "config.json").write_text(json.dumps(quantized))
    code, output = check(tmp_path, text)
    assert code == 78
    assert "v.toml:4: error: engines.a.preload: preload = true, and the model's" in output


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
    assert shown["longest_stop_seconds"] == 60
    assert "a stop takes up to 60 s: in a container" in check(tmp_path, GOOD)[1]
    code, output = check(tmp_path, "x = 1", "--json")
    assert code == 78
    assert json.loads(output)["problems"][0]["key"] == "x"


def test_check_keys_of_variables_are_shown_with_them_and_secrets_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLMD__ENGINES__A__PORT", "8001")
    monkeypatch.setenv("VLLMD__ENGINES__A__ENV__HF_TOKEN", "s3cret-too")
    monkeypatch.setenv("VLLMD__TRACES__FORWARD__HEADERS__x-honeycomb-team", "s3cret-three")
    monkeypatch.setenv("VLLMD__TRACES__FORWARD__ENDPOINT", "https://traces.example")
    code, output = check(tmp_path, GOOD)
    assert code == 0
    assert f"from environment variables, above {tmp_path}/v.toml\n" in output
    assert "  engines.a.port: VLLMD__ENGINES__A__PORT=8001\n" in output
    assert "x-honeycomb-team" in output
    assert "s3cret-three" not in output
    assert "  engines.a.env.HF_TOKEN: VLLMD__ENGINES__A__ENV__HF_TOKEN='********'\n" in output
    assert "--port 8001" in output
    assert "s3cret" not in output
    shown = json.loads(check(tmp_path, GOOD, "--json")[1])
    assert shown["variables"]["engines.a.port"] == "VLLMD__ENGINES__A__PORT"
    monkeypatch.setenv("VLLMD__ENGINES__A__PORT", "none")
    code, output = check(tmp_path, GOOD)
    assert code == 78
    assert output.startswith("VLLMD__ENGINES__A__PORT: error: engines.a.port: got 'none'; it takes")
    problem = json.loads(check(tmp_path, GOOD, "--json")[1])["problems"][0]
    assert (problem["variable"], problem["line"]) == ("VLLMD__ENGINES__A__PORT", None)


def test_check_variables_alone_configure_in_the_place_of_the_usual_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "usual.toml"
    monkeypatch.setattr("vllmd.config.load.CONFIG_PATH", usual)
    monkeypatch.setenv("VLLMD__ENGINES__A__MODEL", "/no/such/folder")
    monkeypatch.setenv("VLLMD__ENGINES__A__EXECUTABLE", "sh")
    result = CliRunner().invoke(command, ["--config", str(usual)])
    assert result.exit_code == 0, result.output
    told = "VLLMD__ENGINES__A__MODEL: warning: engines.a.model: there is no folder"
    assert result.output.startswith(told)
    assert f"above {usual}, which is not there" in result.output


def test_check_no_engine_says_so(tmp_path: Path) -> None:
    assert "no engine is configured" in check(tmp_path, "")[1]


def test_check_web_configuration_is_checked_with_what_it_names(tmp_path: Path) -> None:
    web = write(tmp_path / "web", TLS)
    named = f'[daemon]\nweb_config_file = "{web}"\n'
    assert check(tmp_path, named) == (
        0,
        f"{tmp_path}/v.toml: no engine is configured; 'vllmd init' writes a first one\n",
    )
    (tmp_path / "web" / "server.key").unlink()
    code, output = check(tmp_path, named)
    assert code == 78
    assert output.startswith(f"{web}: error: tls_server_config.key_file: {web.parent}/server.key ")
    code, output = check(tmp_path, "", "--web.config.file", str(web), "--json")
    shown = json.loads(output)
    assert (code, shown["problems"]) == (78, [])
    assert shown["web_config"]["file"] == str(web)
    assert shown["web_config"]["problems"][0]["key"] == "tls_server_config.key_file"
    assert check(tmp_path, named, "--web.config.file", "")[0] == 0


def test_check_listen_that_systemds_socket_decides_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[daemon]\nlisten = "127.0.0.1:9840"\n'
    monkeypatch.setattr("vllmd.cli.check.CONFIG_PATH", tmp_path / "v.toml")
    for held, said in ((("::", 9840), True), (("127.0.0.1", 9840), False)):
        monkeypatch.setattr(service, "exporter_addresses", lambda held=held: (held,))
        code, output = check(tmp_path, text)
        warning = (
            f"{tmp_path}/v.toml:2: warning: daemon.listen: is not used: vllmd-exporter.socket of "
            "systemd listens, on [::]:9840; change the unit (systemctl edit "
            "vllmd-exporter.socket), or take the key out"
        )
        assert (code, warning in output) == (0, said)
        assert "warning" not in check(tmp_path, "")[1]
    monkeypatch.undo()
    monkeypatch.setattr(service, "exporter_addresses", lambda: (("::", 9840),))
    assert "warning" not in check(tmp_path, text)[1]  # another file than the units have


def test_check_model_folder_that_is_not_there_is_a_warning_with_its_line(tmp_path: Path) -> None:
    source = f'[engines.a]\nexecutable = "sh"\nmodel = "{tmp_path}/modle"\n'
    code, output = check(tmp_path, source)
    assert code == 0
    assert f"v.toml:3: warning: engines.a.model: there is no folder '{tmp_path}/modle'" in output
    (tmp_path / "modle").mkdir()
    assert "no folder" not in check(tmp_path, source)[1]


def test_what_the_gpu_here_cannot_compute_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "ask_nvidia_smi", lambda: (GpuFacts(16 * GIB, 0, 16 * GIB),))
    monkeypatch.setattr(host, "ask_capabilities", lambda: [(7, 5)])
    source = '[engines.a]\nexecutable = "sh"\nmodel = "org/m"\nflags = { dtype = "bfloat16" }\n'
    code, output = check(tmp_path, source)
    assert code == 0
    assert (
        'v.toml:3: warning: engines.a.model: dtype = "bfloat16", and the GPU has compute '
        "capability 7.5"
    ) in output
    assert 'Set in [engines.a.flags]: dtype = "half"' in output
    monkeypatch.setattr(host, "ask_capabilities", list)
    assert "compute" not in check(tmp_path, source)[1]


def test_gpu_that_is_not_here_is_a_warning_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "ask_nvidia_smi", lambda: (GpuFacts(16 * GIB, 0, 16 * GIB),))
    monkeypatch.setattr(host, "ask_capabilities", list)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    source = '[engines.a]\nexecutable = "sh"\nmodel = "org/m"\n'
    named = '[engines.a.env]\nCUDA_VISIBLE_DEVICES = "2"\n'
    code, output = check(tmp_path, source + named)
    assert code == 0
    assert (
        "v.toml:5: warning: engines.a.env.CUDA_VISIBLE_DEVICES: CUDA_VISIBLE_DEVICES = '2' names "
        "'2', and 1 GPU is here"
    ) in output
    code, output = check(tmp_path, source + "[engines.a.flags]\ntensor-parallel-size = 2\n")
    assert "v.toml:5: warning: engines.a.flags.tensor-parallel-size: 2 GPUs are asked for" in output
    assert "warning" not in check(tmp_path, source + named.replace("2", "0"))[1]
