"""Files are written whole, or it is said why not."""

import json
from pathlib import Path

import pytest

from vllmd.cli.writing import write_all
from vllmd.errors import VllmdError


def test_files_are_written_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(str(tmp_path / "new"), {"a/b.yml": "x", "c.json": "y"}, as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        f"{tmp_path}/new/a/b.yml",
        f"{tmp_path}/new/c.json",
    ]
    assert (tmp_path / "new" / "a" / "b.yml").read_text() == "x"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "b.yml",
        "c.json",
    ]


def test_what_is_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    write_all(str(tmp_path), {"a": "new"}, as_json=False)
    assert (tmp_path / "a").read_text() == "new"


def test_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VllmdError, match=r"cannot write .*file/a: File exists; give --output"):
        write_all(str(tmp_path / "file"), {"a": ""}, as_json=False)
