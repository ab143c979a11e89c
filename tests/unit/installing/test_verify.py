import zipfile
from pathlib import Path

import pytest

from tests.helpers.wheels import wheel
from vllmd.errors import InstallError
from vllmd.installing.verify import damaged, listed


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    site = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    with zipfile.ZipFile(wheel(tmp_path, "1.0")) as archive:
        archive.extractall(site)
    return tmp_path / "env"


def wrong(environment: Path) -> list[str]:
    return [problem for _, problem in damaged(listed(environment)) if problem]


def test_files_as_they_came_are_silent(environment: Path) -> None:
    assert len(listed(environment)) > 5
    assert wrong(environment) == []


def test_each_damage_is_named(environment: Path) -> None:
    package = environment / "lib/python3.11/site-packages/vllm"
    (package / "__init__.py").write_text("changed")
    (package / "entrypoints" / "cli" / "main.py").unlink()
    blocked = package / "entrypoints" / "__init__.py"
    blocked.unlink()
    blocked.mkdir()
    assert sorted(line.split("vllm/")[-1] for line in wrong(environment)) == [
        "__init__.py was changed",
        "entrypoints/__init__.py cannot be read: Is a directory",
        "entrypoints/cli/main.py is missing",
    ]


def test_what_is_no_environment_is_said(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="is no environment"):
        listed(tmp_path)
