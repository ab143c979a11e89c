import contextlib
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
import structlog

from vllmd.eventlog import log
from vllmd.util.parts import PartRunner


def test_configure_without_a_terminal_writes_one_logfmt_line_an_event() -> None:
    stream = io.StringIO()
    log.configure(stream)
    try:
        structlog.get_logger().info("engine.exited", code="0", requested=False)
        structlog.get_logger().debug("not.shown")
    finally:
        structlog.reset_defaults()
    (line,) = stream.getvalue().splitlines()
    assert "level=info event=engine.exited" in line
    assert "code=0 requested=false" in line


def test_configure_shows_what_a_terminal_would_obey_to_all_who_get_an_event() -> None:
    stream, heard = io.StringIO(), []

    def hear(_logger: object, _method: str, entry: Any) -> Any:
        heard.append(dict(entry))
        return entry

    log.configure(stream, steps=[hear])
    try:
        printed = ["\x9b31m"]
        structlog.get_logger().error("engine.exited", text="\x1b]0;t\x07\nevent=a", out=printed)
    finally:
        structlog.reset_defaults()
    (line,) = stream.getvalue().splitlines()
    assert "x1b]0;t" in line
    assert "x9b31m" in line
    assert line.isprintable()
    assert heard[0]["text"] == "\\x1b]0;t\\x07\nevent=a"


@contextlib.contextmanager
def journal(folder: Path) -> Iterator[tuple[socket.socket, TextIO]]:
    """Configure the log as under systemd: the stream leads to the journal, which has a socket."""
    with (
        (folder / "stream").open("w+") as stream,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        receiver.bind(str(folder / "journal"))
        receiver.settimeout(5)
        found = os.fstat(stream.fileno())
        env = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        log.configure(stream, env=env, journal=str(folder / "journal"))
        try:
            yield receiver, stream
        finally:
            structlog.reset_defaults()


def test_configure_under_systemd_sends_fields_that_can_be_asked_for(tmp_path: Path) -> None:
    with journal(tmp_path) as (receiver, stream):
        structlog.get_logger().warning(
            "engine.exited",
            engine="chat",
            cause="kv_cache",
            code=0,
            killed=[1, 2],
            phase=None,
            requested=False,
        )
        entry = receiver.recv(10_000).decode()
        assert stream.tell() == 0, "the stream would show it a second time"
    assert entry.splitlines() == [
        'MESSAGE=engine.exited engine=chat cause=kv_cache code=0 killed="[1, 2]" requested=false',
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=vllmd",
        "VLLMD_EVENT=engine.exited",
        "VLLMD_ENGINE=chat",
        "VLLMD_CAUSE=kv_cache",
        "VLLMD_CODE=0",
        "VLLMD_KILLED=[1, 2]",
        "VLLMD_REQUESTED=false",
    ]


def test_configure_under_systemd_keeps_a_traceback_with_its_message(tmp_path: Path) -> None:
    with journal(tmp_path) as (receiver, _):
        try:
            raise ValueError("boom")
        except ValueError:
            structlog.get_logger().exception("x.failed")
        entry = receiver.recv(20_000)
    assert entry.startswith(b"MESSAGE\n")
    assert b"Traceback" in entry
    assert b"PRIORITY=3" in entry


def test_what_the_journal_does_not_take_goes_to_the_stream(tmp_path: Path) -> None:
    with journal(tmp_path) as (receiver, stream):
        receiver.close()
        structlog.get_logger().info("a.happened", engine="chat")
        structlog.get_logger().info("b.happened", text="x" * 200_000)
        stream.seek(0)
        first, second = stream.read().splitlines()
    assert first == "a.happened engine=chat"
    assert second.startswith("b.happened text=xxx")


class Full(io.StringIO):
    """A file on a disk that is full, or a terminal that is gone."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), BrokenPipeError(), ValueError("closed file")]
)
def test_line_that_cannot_be_written_is_counted_and_whoever_logs_does_not_notice(
    error: Exception,
) -> None:
    parts, stream = PartRunner(), Full(error)
    log.configure(stream, failed=parts.note)
    try:
        for _ in range(3):
            structlog.get_logger().info("engine.spawned")
        assert parts.failures() == {"log": 4}  # that it fails is told once, and lost as well
        stream.error = None
        structlog.get_logger().info("engine.spawned")
    finally:
        structlog.reset_defaults()
    assert stream.getvalue().count("engine.spawned") == 1


def test_event_that_cannot_be_shown_is_dropped_and_told() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("a mistake")

        __repr__ = __str__

    parts, stream, heard = PartRunner(), io.StringIO(), list[str]()

    def hear(_logger: object, _method: str, entry: Any) -> Any:
        heard.append(entry["event"])
        return entry

    log.configure(stream, steps=[hear], failed=parts.note)
    try:
        structlog.get_logger().info("engine.spawned", odd=Odd())
    finally:
        structlog.reset_defaults()
    assert parts.failures() == {"log": 1}
    assert heard == ["engine.spawned", "part.failed"]
    assert "part=log" in stream.getvalue()
