from pathlib import Path

import pytest

from vllmd.config.load import load, parse
from vllmd.demo.config import demo_config, write_for_commands
from vllmd.errors import VllmdError
from vllmd.lora.adapter_files import read_adapter
from vllmd.lora.desired import scan


def test_demo_config_is_a_good_one_with_a_stand_in_and_adapters(tmp_path: Path) -> None:
    config, warnings = parse(demo_config(tmp_path))
    assert warnings == []
    (engine,) = config.engines.values()
    assert engine.is_stand_in
    assert engine.lora is not None
    assert read_adapter(engine.lora.modules["sql"]).rank == 8
    assert engine.lora.directory is not None
    assert list(scan(engine.lora.directory)) == ["support"]


def test_demo_config_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VllmdError, match=r"demonstration's adapters to .*file/adapters"):
        demo_config(tmp_path / "file" / "adapters")


def test_commands_find_the_folders_that_are_used(tmp_path: Path) -> None:
    file = tmp_path / "new" / "demo.toml"
    text = demo_config(tmp_path)
    write_for_commands(text, file, {"run_dir": tmp_path / 'a "b"', "log_dir": tmp_path})
    daemon = load(file)[0].daemon
    assert daemon.run_dir == f'{tmp_path}/a "b"'
    assert (daemon.log_dir, daemon.listen) == (str(tmp_path), parse(text)[0].daemon.listen)
    (tmp_path / "file").touch()
    with pytest.raises(VllmdError, match="cannot write"):
        write_for_commands(text, tmp_path / "file" / "demo.toml", {})
