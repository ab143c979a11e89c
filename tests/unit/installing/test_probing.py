import json
from pathlib import Path

from tests.helpers.make import DATA
from tests.helpers.wheels import fake_engine
from vllmd.installing.layout import RECORDS, InstalledEngines
from vllmd.installing.probing import FLAGS, flag_table, record_of, table_for

FOUND = {"version": "0.32.0", "torch": "2.13.0", "cuda": None, "python": "3.11.7"}


def keep(prefix: Path, name: str) -> None:
    (prefix / RECORDS).mkdir(parents=True, exist_ok=True)
    text = (DATA / "flags" / "vllm-0.32-cpu.json").read_text()
    (prefix / RECORDS / f"{name}{FLAGS}").write_text(text)


def test_flags_are_found_from_the_program(tmp_path: Path) -> None:
    program = fake_engine(tmp_path / "0.32.0")
    assert table_for(str(program)) is None
    keep(tmp_path, "0.32.0")
    table = table_for(str(program))
    assert table is not None
    assert table.version == "0.32.0+cpu"
    (tmp_path / "current").symlink_to("0.32.0")
    assert table_for(str(tmp_path / "current" / "bin" / "vllm")) == table
    assert table_for("vllm") is None
    assert table_for("/usr/bin/vllm") is None


def test_flags_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    keep(tmp_path, "1")
    (tmp_path / RECORDS / f"1{FLAGS}").write_text(json.dumps({"version": "1"}))
    assert flag_table(InstalledEngines(tmp_path), "1") is None
    assert flag_table(InstalledEngines(tmp_path), "2") is None


def test_record_says_what_was_found(tmp_path: Path) -> None:
    made = record_of("0.32.0+cpu", tmp_path / "bin/vllm", FOUND, 5.0)
    assert (made.build, made.python, made.installed_at) == ("CPU", "3.11.7", 5.0)
