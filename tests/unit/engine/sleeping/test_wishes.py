from pathlib import Path

import pytest

from tests.helpers.late_disk import LateDisk
from vllmd.engine.sleeping.rules import Wish
from vllmd.engine.sleeping.wish_file import WishFile
from vllmd.engine.sleeping.wishes import Wishes

SLEEP, WAKE = Wish(True, "root", 10.0, once=True), Wish(False, "ops", 20.0, once=True)


def test_what_is_taken_back_leaves_what_counted_before(tmp_path: Path) -> None:
    file = WishFile(tmp_path)
    wishes = Wishes(file)
    wishes.say(SLEEP)
    wishes.say(WAKE)
    wishes.take_back(WAKE)
    assert wishes.said == SLEEP
    assert file.load() == SLEEP


def test_what_is_said_twice_is_taken_back_once(tmp_path: Path) -> None:
    wishes = Wishes(WishFile(tmp_path))
    for _ in range(2):
        wishes.say(WAKE)
    wishes.take_back(WAKE)
    assert wishes.said is None


def test_contrary_of_what_is_taken_back_stays(tmp_path: Path) -> None:
    wishes = Wishes(WishFile(tmp_path))
    wishes.say(WAKE)
    wishes.say(SLEEP)
    wishes.take_back(WAKE)
    assert wishes.said == SLEEP


def test_what_is_forgotten_is_not_on_the_disk_either(tmp_path: Path) -> None:
    wishes = Wishes(WishFile(tmp_path))
    wishes.say(SLEEP)
    wishes.say(WAKE)
    wishes.forget()
    wishes.take_back(WAKE)
    assert wishes.said is None
    assert Wishes(WishFile(tmp_path)).said is None


@pytest.mark.parametrize("meanwhile", [None, WAKE])
async def test_what_is_read_late_counts_unless_somebody_said_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Wish | None
) -> None:
    Wishes(WishFile(tmp_path)).say(SLEEP)
    disk, wishes = LateDisk(monkeypatch), Wishes(WishFile(tmp_path))
    await wishes.read_again()
    assert wishes.said is None
    if meanwhile is not None:
        wishes.say(meanwhile)
    disk.late = False
    await wishes.read_again()
    assert wishes.said == WishFile(tmp_path).load() == (meanwhile or SLEEP)
