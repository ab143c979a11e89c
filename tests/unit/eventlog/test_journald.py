import os
import socket
import struct
from pathlib import Path

from vllmd.eventlog import journald
from vllmd.eventlog.journald import JournalSender, encode


def test_encode_leaves_out_what_has_no_value() -> None:
    fields = {"MESSAGE": "a b", "PRIORITY": 3, "X": None, "Y": "", "Z": [], "ZERO": 0}
    assert encode(fields) == b"MESSAGE=a b\nPRIORITY=3\nZERO=0\n"


def test_encode_gives_a_value_of_several_lines_its_length() -> None:
    assert encode({"MESSAGE": "a\nb"}) == b"MESSAGE\n" + struct.pack("<Q", 3) + b"a\nb\n"


def test_send_says_whether_it_was_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    sender = JournalSender(path)
    assert not sender.send(b"MESSAGE=nobody is there\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        assert sender.send(b"MESSAGE=x\n")
        assert receiver.recv(100) == b"MESSAGE=x\n"
    sender.close()


def test_is_journal_compares_the_stream_itself(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as file, (tmp_path / "b").open("w") as other:
        found = os.fstat(file.fileno())
        env = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert journald.is_journal(file.fileno(), env)
        assert not journald.is_journal(other.fileno(), env)
        assert not journald.is_journal(file.fileno(), {})
    assert not journald.is_journal(999, env)
