from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vllmd.config import paths
from vllmd.config.load import load, parse
from vllmd.config.model import Config
from vllmd.config.problem import ConfigProblem, InvalidConfigError

CHAT = "VLLMD__ENGINES__CHAT__"
MODEL = {f"{CHAT}MODEL": "Qwen/Qwen3-8B"}


def read(env: Mapping[str, str], source: str = "") -> Config:
    return parse(source, "v.toml", env=env)[0]


def refused(env: Mapping[str, str], source: str = "") -> list[ConfigProblem]:
    with pytest.raises(InvalidConfigError) as caught:
        parse(source, "v.toml", env=env)
    return caught.value.problems


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("PORT", "8001", 8001),
        ("port", "8001", 8001),
        ("MODEL", "123", "123"),
        ("MODEL", '"org/quoted"', "org/quoted"),
        ("MAX_MODEL_LEN", "32k", "32k"),
        ("MAX_MODEL_LEN", "32768", 32768),
        ("GPU_MEMORY_UTILIZATION", "0.9", 0.9),
        ("ENABLE_PREFIX_CACHING", "true", True),
        ("EXECUTABLE", '["/opt/v/bin/vllm", "-x"]', ("/opt/v/bin/vllm", "-x")),
        ("EXECUTABLE", "/opt/v/bin/vllm", ("/opt/v/bin/vllm",)),
        ("SERVED_MODEL_NAME", "2026-01-01", ("2026-01-01",)),
        ("FLAGS__ENFORCE_EAGER", "true", {"enforce-eager": True}),
        ("FLAGS__REVISION", "1e5", {"revision": "1e5"}),
        ("FLAGS__REVISION", "007", {"revision": "007"}),
        ("FLAGS__SEED", "7", {"seed": 7}),
        ("FLAGS__COMPILATION_CONFIG__LEVEL", "3", {"compilation-config": {"level": 3}}),
        ("FLAGS", '{ "a.b" = 1 }', {"a.b": 1}),
        ("ENV__HF_HOME", "/srv/hf", {"HF_HOME": "/srv/hf"}),
        ("ENV__A", "007", {"A": "007"}),
        ("ENV__lower", '"kept"', {"lower": '"kept"'}),
        ("LORA__MODULES__Sql", "/srv/lora/sql", {"Sql": "/srv/lora/sql"}),
        ("LORA__MAX_LORAS", "4", 4),
        ("RESTART__MAX_S", "60", 60.0),
    ],
)
def test_merge_value_is_typed_as_in_toml(key: str, text: str, value: Any) -> None:
    found: Any = read({**MODEL, f"{CHAT}{key}": text}).engines["chat"]
    for part in key.lower().split("__"):
        if not isinstance(found, Mapping):
            found = getattr(found, part)
    assert found == value


def test_merge_prices_and_headers_keep_their_names() -> None:
    api = "VLLMD__COST__API__gpt-5-mini__"
    config = read({f"{api}INPUT": "0.25", f"{api}OUTPUT": "2.0"})
    assert float(config.cost.api["gpt-5-mini"].output) == 2.0
    config = read({"VLLMD__TRACES__FORWARD__HEADERS__X-Scope": "1"})
    assert config.traces.forward.headers == {"X-Scope": "1"}


def test_merge_variable_stands_above_the_file_and_says_so() -> None:
    source = '[engines.chat]\nmodel = "m"\nport = 1\n[engines.chat.flags]\nenforce_eager = true\n'
    env = {f"{CHAT}PORT": "8001", f"{CHAT}FLAGS__ENFORCE_EAGER": "false"}
    config = read(env, source)
    engine = config.engines["chat"]
    assert (engine.model, engine.port, engine.flags) == ("m", 8001, {"enforce-eager": False})
    assert config.variables["engines.chat.port"] == f"{CHAT}PORT"
    assert set(config.variables) == {"engines.chat.port", "engines.chat.flags.enforce-eager"}


def test_merge_engine_whose_name_no_variable_can_have_is_found() -> None:
    source = '[engines.my-chat]\nmodel = "m"\n'
    config = read({"VLLMD__ENGINES__MY_CHAT__PORT": "9"}, source)
    assert {name: each.port for name, each in config.engines.items()} == {"my-chat": 9}
    source = '[engines.a-b_c]\nmodel = "m"\n[engines.a_b-c]\nmodel = "m"\nport = 8001\n'
    problem = refused({"VLLMD__ENGINES__A_B_C__PORT": "9"}, source)[0]
    assert "could mean a-b_c and a_b-c" in problem.message


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"VLLMD__ENGINE__CHAT__MODEL": "m"}, 'engine: is not a known key; did you mean "engines"'),
        ({**MODEL, f"{CHAT}PROT": "1"}, 'chat.prot: is not a known key; did you mean "port"?'),
        (
            {**MODEL, f"{CHAT}TENSOR_PARALLEL_SIZE": "2"},
            "flags.tensor-parallel-size",
        ),
        ({**MODEL, f"{CHAT}PORT": "70000"}, "got 70000; it takes a whole number from 1 to 65535"),
        ({**MODEL, f"{CHAT}ENABLE_PREFIX_CACHING": "yes"}, "got 'yes'; it takes true or false"),
        ({**MODEL, f"{CHAT}QUANTIZATION": ""}, "got ''; it takes a non-empty string"),
        ({**MODEL, f"{CHAT}PORT__X": "1"}, "got {'X': 1}"),
        ({f"{CHAT[:-2]}": "m"}, "'m' is not a table"),
        ({f"{CHAT}PORT": "1"}, f"model: is missing; set {CHAT}MODEL"),
        ({"VLLMD__": "1"}, "names no key"),
        ({"VLLMD__ENGINES____MODEL": "1"}, "names no key"),
        ({"VLLMD__DAEMON": "1"}, "1 is not a table"),
        ({**MODEL, f"{CHAT}MODEL".lower(): "b"}, "gives what VLLMD__ENGINES__CHAT__MODEL gives"),
        ({"VLLMD_ENGINES__CHAT__MODEL": "m"}, "two underscores come after VLLMD too; call it VLL"),
        ({"VLLMD__DAEMON__LISTEN": "\udcff"}, "is not UTF-8"),
        ({**MODEL, f"{CHAT}ENV__A-B": "1"}, "names of variables"),
    ],
)
def test_merge_what_is_wrong_is_said_of_the_variable(env: Mapping[str, str], says: str) -> None:
    problem = refused(env)[0]
    told = problem.format("v.toml")
    assert says in told
    assert problem.variable in env
    assert told.startswith(f"{problem.variable}: error: ")


def test_merge_file_that_has_no_table_there_is_the_files_mistake() -> None:
    told = [each.format("v.toml") for each in refused(MODEL, "engines = 3\n")]
    assert any(each.startswith("v.toml:1: ") for each in told), told


def test_merge_secret_is_not_shown() -> None:
    env = {**MODEL, f"{CHAT}FLAGS__API_KEY": "s3cret-value", f"{CHAT}PORT": "x"}
    assert "s3cret" not in str(refused(env))


def test_merge_other_variables_are_left_alone() -> None:
    env = {"VLLMD_CONFIG": "a", "VLLMD_PORT_9840_TCP_ADDR": "b", "VLLMDX": "c", "PATH": "d"}
    assert read(env) == parse("", "v.toml")[0]


def test_load_usual_file_may_be_missing_where_variables_configure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "vllmd.toml"
    monkeypatch.setattr("vllmd.config.load.CONFIG_PATH", usual)
    config, _ = load(usual, MODEL)
    assert (config.path, [*config.engines]) == (str(usual), ["chat"])
    for path, env in ((usual, {}), (tmp_path / "other.toml", MODEL)):
        with pytest.raises(InvalidConfigError, match="cannot be read"):
            load(path, env)


def test_run_dir_that_a_variable_names_is_where_the_daemon_is(tmp_path: Path) -> None:
    env = {"VLLMD__DAEMON__RUN_DIR": "/run/elsewhere"}
    assert paths.named_run_dir(tmp_path / "none", env) == Path("/run/elsewhere")
    assert paths.named_run_dir(tmp_path / "none", {}) is None
