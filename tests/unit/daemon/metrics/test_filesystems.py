"""Room where vllmd writes: what `df` says, and nothing of a folder that is gone."""

import shutil
from pathlib import Path

from vllmd.daemon.metrics.filesystems import FilesystemsCollector


def test_size_and_room_are_those_of_the_file_system(tmp_path: Path) -> None:
    size, avail = FilesystemsCollector({"logs": tmp_path}).collect()
    known = shutil.disk_usage(tmp_path)
    assert size.samples[0].labels == avail.samples[0].labels == {"role": "logs"}
    assert size.samples[0].value == known.total
    assert 0 < avail.samples[0].value <= known.total


def test_folder_that_is_gone_is_left_out(tmp_path: Path) -> None:
    families = FilesystemsCollector({"logs": tmp_path, "state": tmp_path / "gone"}).collect()
    assert [[s.labels["role"] for s in family.samples] for family in families] == [["logs"]] * 2
