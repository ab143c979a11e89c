from pathlib import Path

from vllmd.groups.version import installed_version, model_revision


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


def test_model_revision_is_the_commit_in_the_cache_and_none_of_a_folder(tmp_path: Path) -> None:
    entry = tmp_path / "models--org--m"
    (entry / "refs").mkdir(parents=True)
    (entry / "snapshots" / "c0ffee").mkdir(parents=True)
    (entry / "refs" / "main").write_text("c0ffee")
    env = {"HF_HUB_CACHE": str(tmp_path)}
    assert model_revision("org/m", env) == "c0ffee"
    assert model_revision("org/other", env) is None
    assert model_revision(str(tmp_path), env) is None
