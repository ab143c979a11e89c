import json
from pathlib import Path

from vllmd.engine.sleeping.rules import Wish
from vllmd.engine.sleeping.wish_file import NAME, WishFile


async def test_wish_outlives_the_daemon(tmp_path: Path) -> None:
    file, wish = WishFile(tmp_path), Wish(True, "root", 1.5, 2)
    assert file.load() is None
    file.save(wish)
    await file.saved(1.0)
    assert WishFile(tmp_path).load() == wish
    file.save(None)
    assert WishFile(tmp_path).load() is None


def test_wish_of_an_earlier_boot_is_over(tmp_path: Path) -> None:
    WishFile(tmp_path).save(Wish(True, "root", 1.5))
    record = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps({**record, "boot_id": "another"}))
    assert WishFile(tmp_path).load() is None


def test_file_that_makes_no_sense_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"asleep": true}')
    assert WishFile(tmp_path).load() is None
    assert (tmp_path / f"{NAME}.unusable").exists()
