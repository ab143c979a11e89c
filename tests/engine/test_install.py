"""The real CPU build, as `vllmd engine` installed it for this tier: named, checked, chosen."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.conftest import REPORT
from tests.helpers.real import program_and_model
from tests.helpers.site import VLLMD
from tests.helpers.wheels import wheel
from vllmd.demo.real import config_text
from vllmd.installing.plan import VERSION


@pytest.fixture(scope="module")
def installed() -> tuple[Path, Path, Path]:
    """Return the prefix, the program and the model."""
    program, model = program_and_model()
    return program.parents[2], program, model


def engine(prefix: Path, *arguments: str, code: int = 0) -> str:
    command = [str(VLLMD), "engine", *arguments, "--prefix", str(prefix)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_installed_engine_is_known_and_whole(installed: tuple[Path, Path, Path]) -> None:
    prefix, program, _ = installed
    (row,) = [
        each
        for each in json.loads(engine(prefix, "list", "--json"))["engines"]
        if each["program"] == str(program)
    ]
    assert row["version"].startswith(VERSION)
    if row["build"] == "CPU":
        assert row["name"] == f"{VERSION}+cpu"
    said = json.loads(engine(prefix, "verify", row["name"], "--json"))
    assert said["damaged"] == []
    REPORT.append(f"vllmd engine verify: {said['files']:,} files as they came")


def test_flags_are_the_real_parsers_and_a_typo_is_caught(
    installed: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    prefix, program, model = installed
    shown = json.loads(engine(prefix, "flags", program.parents[1].name, "--json"))
    names = {name for each in shown["flags"] for name in each["names"]}
    assert {"--max-model-len", "--enable-lora", "--shutdown-timeout"} <= names
    REPORT.append(f"flags read from vLLM {shown['version']}: {len(shown['flags'])}")
    good = tmp_path / "good.toml"
    good.write_text(config_text(tmp_path, program, model))
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(good.read_text().replace("enforce-eager", "enforce-eagr"))
    check = [str(VLLMD), "check", "--config"]
    assert subprocess.run([*check, str(good)], check=False, capture_output=True).returncode == 0
    done = subprocess.run([*check, str(wrong)], check=False, capture_output=True, text=True)
    assert done.returncode == 78
    assert 'has no flag --enforce-eagr; did you mean "enforce-eager"?' in done.stderr
    refused = subprocess.run(
        [str(program), "serve", "x", "--enforce-eagr"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert "unrecognized arguments: --enforce-eagr" in refused.stderr


def test_real_build_is_adopted_used_and_gone_back_from(
    installed: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, program, _ = installed
    prefix = tmp_path / "engine"
    wheel(tmp_path / "wheels", "0.31.0")
    engine(prefix, "install", "0.31.0", "--cuda", "--wheels", str(tmp_path / "wheels"))
    name = json.loads(engine(prefix, "adopt", str(program), "--json"))["name"]
    engine(prefix, "use", name)
    run = [str(prefix / "current" / "bin" / "vllm"), "--version"]
    said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert VERSION in said
    shown = json.loads(engine(prefix, "rollback", "--json"))
    assert shown == {"current": "0.31.0", "previous": name}
    assert os.path.realpath(prefix / "current") == str(prefix / "0.31.0")
    engine(prefix, "remove", name)
    assert program.exists()
