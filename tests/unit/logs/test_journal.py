import socket
import struct
from pathlib import Path

from vllmd.logs.journal import MAX_BYTES, Journal, entry
from vllmd.logs.reader import Position

ERROR = b"(Worker_TP1 pid=7) ERROR 11-23 18:48:58 [a.py:1] boom"


def test_entry_has_priority_engine_and_process() -> None:
    assert entry("chat", ERROR) == (
        b"MESSAGE=" + ERROR + b"\nPRIORITY=3\nSYSLOG_IDENTIFIER=vllm\nVLLMD_ENGINE=chat\n"
        b"VLLM_PROCESS=Worker_TP1\nVLLM_PID=7\n"
    )
    assert entry("chat", b"plain") == (
        b"MESSAGE=plain\nPRIORITY=6\nSYSLOG_IDENTIFIER=vllm\nVLLMD_ENGINE=chat\n"
    )


def test_entry_with_a_newline_takes_the_form_with_a_length() -> None:
    assert entry("chat", b"a\nb").startswith(b"MESSAGE\n" + struct.pack("<Q", 3) + b"a\nb\n")
    assert len(entry("chat", b"x" * 10 * MAX_BYTES)) < MAX_BYTES + 200


def test_send_delivers_each_line_and_counts_what_is_not_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    journal = Journal("chat", path)
    journal.send(b"nobody is there\n", Position(0, 0))
    assert journal.dropped == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        journal.send(b"one\ntwo\n", Position(0, 0))
        assert b"MESSAGE=one\n" in receiver.recv(1000)
        assert b"MESSAGE=two\n" in receiver.recv(1000)
    assert journal.dropped == 1
    journal.close()
