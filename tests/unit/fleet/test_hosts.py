from pathlib import Path

import pytest

from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.errors import ConfigError
from vllmd.fleet.hosts import fleet_hosts


def of_file(path: Path) -> tuple[FleetHost, ...]:
    return fleet_hosts(FleetConfig(hosts=str(path)))


def test_a_list_is_taken_as_it_is() -> None:
    hosts = (FleetHost("a"), FleetHost("b"))
    assert fleet_hosts(FleetConfig(hosts=hosts)) == hosts


def test_a_file_has_one_host_a_line_and_remarks(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("# rack 1\ngpu01\n\n  gpu02:9841  # the new one\n")
    assert of_file(path) == (FleetHost("gpu01"), FleetHost("gpu02", 9841))


def test_a_file_that_is_missing_or_wrong_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    with pytest.raises(ConfigError, match=f"{path} cannot be read: No such file.*one host a line"):
        of_file(path)
    path.write_text("gpu01\ngpu 02\n")
    with pytest.raises(ConfigError, match="got 'gpu 02'"):
        of_file(path)
    path.write_text("\n# gpu01\n")  # being written, or all of them left out
    with pytest.raises(ConfigError, match=f"{path} names no host; write one host a line"):
        of_file(path)
    path.write_bytes(b"gpu\xff\n")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 3"):
        of_file(path)
    with pytest.raises(ConfigError, match="it is a directory"):
        of_file(tmp_path)
