"""The history's file and those beside it, damaged: opened, or set aside; no daemon's end.

An input is a list of damages: which file, where, and what is there then.
"""

import shutil
import sqlite3
import struct
import tempfile
from pathlib import Path

from tests.fuzz.target import Target
from vllmd.eventlog.bus import Event
from vllmd.history import reading
from vllmd.history.reading import EventFilter
from vllmd.history.store import Store

SUFFIXES = ("", "-wal", "-shm", ".mark")
DAMAGE = struct.Struct(">BBHIQ")
"""The file, what is done (see `_damage`), how much, where, and which bytes."""
EVENTS = [Event(float(at), "engine.exited", "warning", "chat", {"a": "b" * 50}) for at in range(60)]
_whole = tempfile.TemporaryDirectory(prefix="f-")


def _made() -> Path:
    """Return a folder with a history as a daemon that was killed left it."""
    whole = Path(_whole.name)
    if not any(whole.iterdir()):
        store = Store(whole)
        store.open()
        for at in range(0, len(EVENTS), 6):
            store.append(EVENTS[at : at + 6])
        folder = whole / "left"
        folder.mkdir()
        for each in whole.glob("vllmd.db*"):
            shutil.copy(each, folder)
        store.close()
    return whole / "left"


def _damage(path: Path, how: int, size: int, at: int, value: int) -> None:
    if not path.exists():
        return
    content = bytearray(path.read_bytes())
    at %= max(1, len(content))
    match how % 5:
        case 0:
            content[at : at + 8] = value.to_bytes(8)
        case 1:
            del content[at:]
        case 2:
            del content[at : at + size]
        case 3:
            content[at : at + size] = bytes(min(size, len(content) - at))
        case 4:
            path.unlink()
            return
    path.write_bytes(content)


def _run(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="f-") as name:
        folder = Path(name)
        for each in _made().iterdir():
            shutil.copy(each, folder)
        for at in range(0, min(len(data) - DAMAGE.size + 1, 8 * DAMAGE.size), DAMAGE.size):
            which, how, size, where, value = DAMAGE.unpack_from(data, at)
            _damage(folder / f"vllmd.db{SUFFIXES[which % 4]}", how, size, where, value)
        try:
            reading.read(folder / "vllmd.db", EventFilter(names=("engine.*",)))
        except (sqlite3.Error, OSError) as error:
            str(error)
        store = Store(folder, max_bytes=200_000)
        for told in store.open():
            str(told)
        _use(store)


def _use(store: Store) -> None:
    """Use what was opened; what is damaged deeper is told as an error of SQLite, and set aside."""
    try:
        store.append(EVENTS[:6])
        store.prune()
        found = reading.read(store.path, EventFilter(limit=100))
        assert found
        store.close()
    except sqlite3.DatabaseError:
        store.close_at_once()
        Store(store.path.parent).open()


def _corpus() -> list[bytes]:
    return [
        b"",
        DAMAGE.pack(0, 0, 0, 0, 0),
        DAMAGE.pack(0, 0, 0, 16, 2**64 - 1),
        *(
            DAMAGE.pack(which, how, 4096, 4096 * at, 5)
            for which in range(4)
            for how in range(5)
            for at in (0, 3)
        ),
        DAMAGE.pack(1, 1, 0, 5000, 0) + DAMAGE.pack(3, 0, 0, 0, 7),
    ]


TARGET = Target(
    "history",
    _run,
    _corpus,
    scraps=tuple(DAMAGE.pack(w, h, 100, 4096 + 8 * h, 2**63) for w in range(3) for h in range(4)),
    cpu_s=4.0,
)
