import os
import threading
from pathlib import Path

import pytest

from vllmd.config import load as load_module
from vllmd.config.load import MAX_BYTES, UNIT_STOP_S, load, parse
from vllmd.config.problem import ConfigProblem, InvalidConfigError, ProblemSeverity
from vllmd.util.deadline import call_within

BROKEN = """\
[daemon]
listen = "9840"
[engines.chat]
modle = "x"
port = 70000
gpu_memory_utilization = 1.5
tensor_parallel_size = 2
env = { HF_TOKEN = true }
flags = { api-key = "s3cret", hf-token = "s3cret" }
[engines.Bad]
model = "y"
[engines.b]
model = "y"
port = 8001
[engines.c]
model = "y"
port = 8001
lora.max_lora_rank = 7
"""


def problems_of(source: str) -> list[ConfigProblem]:
    with pytest.raises(InvalidConfigError) as caught:
        parse(source, "vllmd.toml")
    return caught.value.problems


def test_parse_reports_every_mistake_at_once_with_its_line() -> None:
    found = {problem.key: problem for problem in problems_of(BROKEN)}
    assert {key: p.line for key, p in found.items()} == {
        "daemon.listen": 2,
        "engines.chat.model": 3,
        "engines.chat.modle": 4,
        "engines.chat.port": 5,
        "engines.chat.gpu_memory_utilization": 6,
        "engines.chat.tensor_parallel_size": 7,
        "engines.chat.env": 8,
        "engines.chat.flags": 9,
        "engines.Bad": 10,
        "engines.c.port": 17,
        "engines.c.lora.max_lora_rank": 18,
    }
    assert found["engines.chat.modle"].fix == 'did you mean "model"?'
    assert "flags.tensor-parallel-size" in found["engines.chat.tensor_parallel_size"].fix
    assert "8001 is the port of engines.b too" in found["engines.c.port"].message


def test_parse_never_shows_a_secret() -> None:
    assert "s3cret" not in str(problems_of(BROKEN))


def test_parse_warns_of_every_secret_that_stands_in_the_arguments() -> None:
    _, warnings = parse(
        '[engines.a]\nmodel = "s3://u:planted-1@b/m"\nexecutable = ["vllm", "--x=https://p@h"]\n'
        'flags = { x = "https://u:planted-2@h" }\n'
        '[engines.a.lora]\ndynamic = false\nmodules = { s = "https://u:planted-3@h/a" }\n'
        '[engines.b]\nmodel = "m"\nport = 8001\n'
    )
    told = sorted(w.key or "" for w in warnings if "has a secret" in w.message)
    keys = ("executable", "flags.x", "lora.modules.s", "model")
    assert told == [f"engines.a.{key}" for key in keys]
    assert "planted" not in str(warnings)


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("engines = 3", "engines"),
        ("[engines]\na = 3", "engines.a"),
        ("daemon = 1", "daemon"),
        ('[engines.a]\nmodel = "m"\nlora = true', "engines.a.lora"),
        ("surprise = 1", "surprise"),
    ],
)
def test_parse_wrong_shape_is_a_problem_not_a_traceback(source: str, key: str) -> None:
    assert key in [problem.key for problem in problems_of(source)]


def test_parse_no_toml_says_the_line() -> None:
    (problem,) = problems_of("[engines.a]\nmodel = \n")
    assert problem.line == 2


def test_parse_empty_is_a_daemon_without_engines() -> None:
    config, warnings = parse("")
    assert dict(config.engines) == {}
    assert warnings == []


def test_parse_memory_shares_above_one_are_a_warning() -> None:
    engine = '[engines.{0}]\nmodel = "m"\nport = {1}\ngpu_memory_utilization = 0.6\n'
    _, warnings = parse(engine.format("a", 1) + engine.format("b", 2))
    (warning,) = warnings
    assert warning.severity is ProblemSeverity.WARNING
    assert "adds up to 1.2" in warning.message


def test_parse_run_dir_too_deep_for_a_socket_is_a_problem() -> None:
    deep = "/" + "d" * 100
    (problem,) = problems_of(f'[daemon]\nrun_dir = "{deep}"\n[engines.a]\nmodel = "m"')
    assert problem.key == "daemon.run_dir"


def test_load_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_load_not_utf8_says_so(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidConfigError, match="not UTF-8"):
        load(path)


def test_load_good_file_remembers_its_path(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.write_text('[engines.a]\nmodel = "m"\n')
    config, _ = load(path)
    assert config.path == str(path)
    assert config.engines["a"].name == "a"


def test_parse_drain_that_systemd_would_cut_off_is_a_warning() -> None:
    engine = '[engines.chat]\nmodel = "m"\ndrain_s = {0}\nstop_grace_s = 15\n'
    assert parse(engine.format(95))[1] == []
    (warning,) = parse(engine.format(96))[1]
    assert "TimeoutStopSec" in warning.fix
    assert "need 121 s" in warning.message
    unit = Path(__file__).parents[3] / "packaging" / "systemd" / "vllmd-engine@.service"
    assert f"TimeoutStopSec={UNIT_STOP_S:g}\n" in unit.read_text()


def test_load_of_something_else_than_a_file_says_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.toml")
    with pytest.raises(InvalidConfigError, match="cannot be read: it is a FIFO, not a regular"):
        load(tmp_path / "v.toml")


def test_load_of_a_file_that_is_too_large_reads_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    path.touch()
    os.truncate(path, 1 << 30)
    with pytest.raises(InvalidConfigError, match=f"1073741824 bytes, more than the {MAX_BYTES}"):
        load(path)


def test_load_from_a_file_system_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = threading.Event()
    monkeypatch.setattr(load_module, "read_regular", lambda *_: gone.wait())
    monkeypatch.setattr(call_within, "__defaults__", (0.05,))
    with pytest.raises(InvalidConfigError, match=r"no answer within 0\.05 s: does its file system"):
        load(tmp_path / "v.toml")
    gone.set()
