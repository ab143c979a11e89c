from pathlib import Path

import pytest

from vllmd.config.load import parse
from vllmd.demo.config import demo_config
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
