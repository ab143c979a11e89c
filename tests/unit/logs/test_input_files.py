import gzip
import io
import os
import threading
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from vllmd.logs.input_files import in_order, read_given
from vllmd.shim.files import UnusableFileError


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_read_given_unpacks_what_is_compressed_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\ntwo"))
    (tmp_path / "b").write_bytes(b"three\n")
    assert read_given([tmp_path / "a.gz", tmp_path / "b"]) == ["one", "two", "three"]


def test_read_given_of_a_damaged_file_has_what_can_be_read(tmp_path: Path) -> None:
    packed = gzip.compress(b"line of text\n" * 300_000)
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])
    assert read_given([tmp_path / "a.gz"])[0] == "line of text"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_given_of_standard_input(pack: type[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(pack(b"one\ntwo\n")))
    monkeypatch.setattr("vllmd.logs.input_files.sys.stdin", stdin)
    assert read_given([Path("-")]) == ["one", "two"]


def test_read_given_says_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_given([tmp_path / "none"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("c.log c.log.000002 c.log.000001.gz", "c.log.000001.gz c.log.000002 c.log"),
        ("v.log v.log.1 v.log.2.gz", "v.log.2.gz v.log.1 v.log"),
        ("b.log a.log", "b.log a.log"),
        ("a.log a.log", "a.log"),
    ],
)
def test_in_order_is_that_of_rotations(given: str, expected: str) -> None:
    assert [str(path) for path in in_order(map(Path, given.split()))] == expected.split()


@pytest.mark.parametrize(
    "form",
    [
        "2026-11-28T{hour:02d}:00:00Z stderr F line {hour}",
        "2026-11-28 {hour:02d}:00:00,123 line {hour}",
        "Nov 28 {hour:02d}:00:00 gpu01 vllm[1]: line {hour}",
        "INFO 11-28 {hour:02d}:00:00 [a.py:1] line {hour}",
    ],
)
@pytest.mark.parametrize("first", range(0, 25, 3))
def test_since_leaves_out_what_was_before(tmp_path: Path, form: str, first: int) -> None:
    lines = [x for hour in range(24) for x in (form.format(hour=hour), "  of it", "")]
    (tmp_path / "a").write_text("\n".join(lines))
    zone = "+00:00" if "Z" in form else ""
    day, hour = (28, first) if first < 24 else (29, 0)
    found = read_given([tmp_path / "a"], moment(f"2026-11-{day}T{hour:02d}:00:00{zone}"))
    kept = [line for line in found if "line" in line]
    assert [line.rsplit(" ", 1)[1] for line in kept] == [str(x) for x in range(first, 24)]


def test_read_given_keeps_only_the_end_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllmd.logs.input_files.MIB", 4)
    monkeypatch.setattr("vllmd.logs.input_files.MAX_BYTES", 8)
    stdin = SimpleNamespace(buffer=io.BytesIO(b"one\n" * 9 + b"two\nend"))
    monkeypatch.setattr("vllmd.logs.input_files.sys.stdin", stdin)
    assert read_given([Path("-")]) == ["two", "end"]


def test_read_given_of_a_device_is_refused() -> None:
    with pytest.raises(UnusableFileError, match="it is a device, not a regular file"):
        read_given([Path("/dev/zero")])


def test_read_given_of_a_fifo_without_a_writer_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert read_given([tmp_path / "fifo"]) == []


def test_read_given_of_a_pipe_that_a_shell_made_waits_for_all_of_it() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"one\n")

    def end() -> None:
        os.write(theirs, b"two\n")
        os.close(theirs)

    ends = threading.Thread(target=end)
    ends.start()
    assert read_given([Path(f"/dev/fd/{ours}")]) == ["one", "two"]
    ends.join()
    os.close(ours)
