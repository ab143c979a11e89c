import os
import socket
from pathlib import Path

import pytest

from vllmd.shim.files import (
    MAX_DEPTH,
    UnusableFileError,
    is_deeper,
    open_regular,
    open_to_append,
    parse_json,
    read_json,
    read_regular,
)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a FIFO"),
        (Path.mkdir, "a directory"),
        (make_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_read_regular_of_something_else_says_what_it_is_and_waits_for_nobody(
    tmp_path: Path, make: object, kind: str
) -> None:
    path = tmp_path / "f"
    make(path)  # type: ignore[operator]
    with pytest.raises(UnusableFileError, match=f"it is {kind}, not a regular file") as raised:
        read_regular(path, 10)
    assert raised.value.filename == str(path)


def test_read_regular_returns_all_of_a_file_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    assert read_regular(path, 10) == b"0123456789"
    with pytest.raises(UnusableFileError, match="it has 10 bytes, more than the 9"):
        read_regular(path, 9)


def test_read_regular_of_a_file_without_a_size_is_limited_too() -> None:
    assert read_regular("/proc/self/stat", 4096).startswith(str(os.getpid()).encode())
    with pytest.raises(UnusableFileError, match="more than the 3"):
        read_regular("/proc/self/stat", 3)


def test_read_regular_of_a_gigabyte_reads_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(UnusableFileError, match="1099511627776 bytes"):
        read_regular(path, 1 << 20)


def test_open_regular_missing_is_as_usual(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 5000, "[" * 500 + "]" * 500])
def test_parse_json_nested_deep_is_an_error_as_others_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"deep|Expecting"):
        parse_json(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "1e999", "{", "1" * 5000])
def test_parse_json_numbers_that_nothing_can_be_done_with_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


def test_read_json_reads_what_is_usual(tmp_path: Path) -> None:
    (tmp_path / "f").write_text('{"a": [1, 2.5, {"b": null}]}')
    assert read_json(tmp_path / "f") == {"a": [1, 2.5, {"b": None}]}


def test_is_deeper_counts_tables_and_lists() -> None:
    value: object = 1
    for depth in range(MAX_DEPTH):
        assert not is_deeper(value, depth)
        value = {"a": value} if depth % 2 else [value]
    assert not is_deeper(value, MAX_DEPTH)
    assert is_deeper([value], MAX_DEPTH)


def test_open_to_append_makes_a_file_and_goes_on_at_its_end(tmp_path: Path) -> None:
    for text in (b"a", b"b"):
        with open_to_append(tmp_path / "f") as file:
            file.write(text)
    assert (tmp_path / "f").read_bytes() == b"ab"


def test_open_to_append_of_something_else_says_what_it_is_and_waits_for_nobody(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, kind in ((tmp_path / "fifo", "a FIFO"), ("/dev/null", "a device")):
        with pytest.raises(UnusableFileError, match=f"it is {kind}, not a regular file"):
            open_to_append(path)
