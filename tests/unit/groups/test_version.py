from pathlib import Path

from vllmd.groups.version import installed_version


def test_installed_version_is_that_of_the_programs_environment(tmp_path: Path) -> None:
    site = tmp_path / "engine" / "lib" / "python3.12" / "site-packages"
    (site / "vllm-0.32.0+cpu.dist-info").mkdir(parents=True)
    (site / "vllm_ascend-1.dist-info").mkdir()
    program = tmp_path / "engine" / "bin" / "vllm"
    program.parent.mkdir()
    program.touch()
    (tmp_path / "current").symlink_to(program)
    assert installed_version(str(program)) == "0.32.0+cpu"
    assert installed_version(str(tmp_path / "current")) == "0.32.0+cpu"


def test_installed_version_of_anything_else_is_not_known(tmp_path: Path) -> None:
    assert installed_version(str(tmp_path / "vllm")) is None
