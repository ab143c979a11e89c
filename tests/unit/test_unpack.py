"""packaging/unpack.py: wheels to the folder that the package has."""

import importlib.util
import stat
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unpack", ROOT / "packaging" / "unpack.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(folder: Path, name: str, *files: str) -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for file in files:
            info = zipfile.ZipInfo(file)
            info.external_attr = 0o755 << 16
            archive.writestr(info, file)
    return folder


def test_wheels_are_unpacked_as_they_are_with_the_rights_of_plain_files(tmp_path: Path) -> None:
    wheels = wheel(tmp_path / "w", "a-1-py3-none-any.whl", "a/__init__.py", "a-1.dist-info/RECORD")
    wheel(wheels, "b-1-cp310-abi3-manylinux2014_x86_64.whl", "b/x.abi3.so")
    wheel(wheels, "b-1-cp310-abi3-manylinux2014_aarch64.manylinux_2_28_aarch64.whl", "b/x.abi3.so")
    tool().main(wheels, tmp_path / "site")
    files = [path for path in tmp_path.glob("site*/**/*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path)) for path in files) == [
        "site-amd64/b/x.abi3.so",
        "site-arm64/b/x.abi3.so",
        "site/a-1.dist-info/RECORD",
        "site/a/__init__.py",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o644}
    assert (tmp_path / "site-arm64/b/x.abi3.so").read_text() == "b/x.abi3.so"


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("a-1-cp311-cp311-manylinux2014_x86_64.whl", "a.so", "is for one version of Python"),
        ("a-1-cp310-abi3-win_amd64.whl", "a.so", "no package is built for win_amd64"),
        ("a-1-py3-none-any.whl", "a-1.data/scripts/a", "only plain packages"),
        ("a-1-py3-none-any.whl", "../a", "only plain packages"),
    ],
)
def test_what_is_more_than_a_package_is_refused(
    tmp_path: Path, name: str, file: str, said: str
) -> None:
    wheels = wheel(tmp_path / "w", name, file)
    with pytest.raises(SystemExit, match=said):
        tool().main(wheels, tmp_path / "site")


def test_two_wheels_with_the_same_file_are_refused(tmp_path: Path) -> None:
    wheels = wheel(tmp_path / "w", "a-1-py3-none-any.whl", "x.py")
    wheel(wheels, "b-1-py3-none-any.whl", "x.py")
    with pytest.raises(SystemExit, match="so has another wheel"):
        tool().main(wheels, tmp_path / "site")
