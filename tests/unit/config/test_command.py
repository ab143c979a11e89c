import sys
from pathlib import Path

import pytest

from tests.helpers.make import engine
from tests.helpers.wheels import fake_engine
from vllmd.config import command, paths


def test_build_resolves_the_program_on_path() -> None:
    built = command.build(engine('executable = "sh"'), {"PATH": "/bin"})
    assert built.argv[0] == "/bin/sh"
    assert built.found


def test_build_finds_installed_engines_first_and_where_current_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, own = tmp_path / "system", tmp_path / "own" / "vllmd" / "engine"
    monkeypatch.setattr(paths, "SYSTEM_ENGINES", system)
    env = {"PATH": "/bin", "XDG_DATA_HOME": str(tmp_path / "own")}
    assert not command.build(engine(), env).found
    for prefix, version in ((own, "0.31.0"), (system, "0.32.0")):
        fake_engine(prefix / version)
        (prefix / "current").symlink_to(version)
        assert command.build(engine(), env).argv[0] == str(prefix / version / "bin" / "vllm")
    named = engine(f'executable = "{own}/current/bin/vllm"')
    before = command.build(named, env)
    fake_engine(own / "0.33.0")
    (own / "current").unlink()
    (own / "current").symlink_to("0.33.0")
    after = command.build(named, env)
    assert after.argv[0] == str(own / "0.33.0" / "bin" / "vllm")
    assert after.hash != before.hash


def test_build_finds_a_vllm_in_the_same_environment_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra `engine` has it there, and a tool of uv puts it on nobody's path."""
    monkeypatch.setattr(paths, "SYSTEM_ENGINES", tmp_path / "none")
    fake_engine(tmp_path / "tool")
    fake_engine(tmp_path / "other")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "tool" / "bin" / "python3"))
    env = {"XDG_DATA_HOME": str(tmp_path / "own")}
    beside = command.build(engine(), {**env, "PATH": "/bin"})
    assert beside.argv[0] == str(tmp_path / "tool" / "bin" / "vllm")
    on_path = command.build(engine(), {**env, "PATH": f"/bin:{tmp_path}/other/bin"})
    assert on_path.argv[0] == str(tmp_path / "other" / "bin" / "vllm")


def test_build_missing_program_is_marked() -> None:
    built = command.build(engine('executable = "no-such-vllm"'), {"PATH": "/bin"})
    assert built.argv[0] == "no-such-vllm"
    assert not built.found


def test_build_stand_in_runs_with_our_python() -> None:
    built = command.build(engine('executable = "stand-in"'), {})
    assert built.argv[:4] == (sys.executable, "-m", "vllmd.demo", "serve")


def test_hash_changes_with_the_command_not_with_the_login() -> None:
    text = 'executable = "sh"\nenv = { A = "1" }'
    one = command.build(engine(text), {"PATH": "/bin", "USER": "a"})
    two = command.build(engine(text), {"PATH": "/bin", "USER": "b"})
    other = command.build(engine(text.replace("1", "2")), {"PATH": "/bin"})
    assert one.hash == two.hash
    assert one.hash != other.hash


def test_masked_own_env_hides_secrets() -> None:
    built = command.build(engine('env = { HF_TOKEN = "abc" }'), {})
    assert "abc" not in str(built.masked_own_env())
    assert "abc" not in repr(built)
    assert built.env["HF_TOKEN"] == "abc"


def test_build_with_a_program_on_a_disk_that_hangs_takes_it_as_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hangs(path: str, _: object) -> None:
        raise TimeoutError(path)

    monkeypatch.setattr(command, "call_within", hangs)
    built = command.build(engine('executable = "/nfs/bin/vllm"'), {"PATH": "/bin"})
    assert built.argv[0] == "/nfs/bin/vllm"
    assert not command.build(engine('executable = "vllm"'), {"PATH": "/bin"}).found


def test_fingerprint_is_the_same_on_hosts_that_are_alike_and_has_no_secret() -> None:
    def fingerprint(text: str, program: str = "/opt/a/vllm") -> str:
        return command.build(engine(f'executable = "{program}"\n{text}'), {}).fingerprint

    alike = 'host = "10.0.0.1"\nport = 8001\nenv = { CUDA_VISIBLE_DEVICES = "1" }'
    assert fingerprint(alike) == fingerprint('host = "10.0.0.2"', "/opt/b/vllm")
    secret = "env = { VLLM_API_KEY = '%s' }"
    assert fingerprint(secret % "one") == fingerprint(secret % "two")
    assert fingerprint("max_num_seqs = 8") != fingerprint("max_num_seqs = 9")
    assert fingerprint("env = { A = '1' }") != fingerprint("env = { A = '2' }")
