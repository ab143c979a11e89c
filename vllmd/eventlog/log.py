"""The daemon's own log, one event at a time: to the journal, a terminal, or a file."""

import atexit
import errno
import json
import logging
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from vllmd.eventlog import journald
from vllmd.util.background_writer import BackgroundWriter, Fate
from vllmd.util.terminal_text import harmless_value

Lost = Callable[[BaseException], None]

_CONTROL = {"event", "level", "exception"}
_NOT_A_NAME = re.compile(r"[^A-Z0-9_]")
_MESSAGE = structlog.processors.LogfmtRenderer(bool_as_flag=False)


def configure(
    stream: TextIO = sys.stderr,
    *,
    debug: bool = False,
    steps: Sequence[Processor] = (),
    env: Mapping[str, str] = os.environ,
    journal: str = journald.SOCKET,
    failed: Callable[[str, BaseException], None] = lambda *_: None,
) -> None:
    """Send structured events to `stream`: coloured on a terminal, else logfmt.

    A stream that leads to the journal gets none of them, as the journal itself takes them with
    their fields (`VLLMD_EVENT`, `VLLMD_ENGINE`, `VLLMD_CAUSE` and the rest); if it does not take
    one in time, the line goes to the stream after all.

    `steps` are processors that see each event before it gets its time and its form.

    What cannot be shown or written, because a disk is full or a terminal gone, is lost and counted:
    `failed` hears of it, under the name `log`. Whoever logs does not notice, and waits for nobody
    who does not read a pipe or a terminal: a thread writes there.
    """

    def lost(error: BaseException) -> None:
        failed("log", error)

    last, logger = _output_file(stream, env, journal, lost)
    output_file = _Outlet(last, logger, lost)
    level = logging.DEBUG if debug else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _harmless,
            *steps,
            output_file.shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: output_file,
    )


def _output_file(
    stream: TextIO, env: Mapping[str, str], journal: str, lost: Lost
) -> tuple[list[Processor], Callable[..., None]]:
    """Return the last steps of an event, and who writes it."""
    write = _writer(stream, lost)
    if _leads_to_journal(stream, env):
        return [_to_journal], _JournalLogger(journald.JournalSender(journal), write).msg
    terminal = stream.isatty()
    stamp = structlog.processors.TimeStamper(
        fmt="%H:%M:%S" if terminal else "iso", utc=not terminal
    )
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(pad_event_to=24)
        if terminal
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], bool_as_flag=False
        )
    )
    return [stamp, renderer], write


def _writer(stream: TextIO, lost: Lost) -> Callable[[str], None]:
    """Return who writes a line to a stream: aside, if that may stand still for want of a reader."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # it has no file, or none any more
        return structlog.WriteLogger(stream).msg
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)):
        return structlog.WriteLogger(stream).msg
    writer = BackgroundWriter(stream.fileno())
    atexit.register(writer.close)

    def tell(fate: Fate) -> None:
        if fate is Fate.LOST:
            lost(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))

    def write(text: str) -> None:
        line = f"{text}\n".encode(errors="backslashreplace")
        if not writer.put("events", line, tell):
            raise BlockingIOError(errno.EAGAIN, "nobody reads the daemon's log")

    return write


class _Outlet:
    """The end of the way of an event; whoever logs does not notice a mistake in it."""

    def __init__(
        self,
        steps: Sequence[Processor],
        write: Callable[..., None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._steps, self._write, self._failed = steps, write, failed

    def shown(self, logger: Any, method: str, event: Any) -> Any:
        """Give an event its form; one that has none is dropped."""
        try:
            for step in self._steps:
                event = step(logger, method, event)
        except Exception as error:  # noqa: BLE001 - isolates the log
            self._failed(error)
            raise structlog.DropEvent from None
        return event

    def msg(self, *form: Any) -> None:
        """Write it."""
        try:
            self._write(*form)
        except (OSError, ValueError) as error:
            self._failed(error)

    debug = info = warning = error = critical = exception = msg


def _harmless(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Show control characters that an engine, a client or a file put into an event."""
    return harmless_value(event)


def _leads_to_journal(stream: TextIO, env: Mapping[str, str]) -> bool:
    try:
        return journald.is_journal(stream.fileno(), env)
    except (OSError, ValueError):
        return False


def _to_journal(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[str, bytes], dict[str, Any]]:
    """Return the line that a person reads, and the datagram with it and the fields."""
    fields = {name: value for name, value in event.items() if name not in _CONTROL}
    shown = journald.with_value(fields)
    message = " ".join(
        part for part in (str(event["event"]), str(_MESSAGE(None, "", shown))) if part
    )
    if trace := event.get("exception"):
        message += f"\n{trace}"
    named = {
        f"VLLMD_{_NOT_A_NAME.sub('_', name.upper())}": _plain(value)
        for name, value in fields.items()
    }
    datagram = journald.encode(
        {
            "MESSAGE": message,
            "PRIORITY": journald.PRIORITIES.get(str(event.get("level")), 6),
            "SYSLOG_IDENTIFIER": "vllmd",
            "VLLMD_EVENT": event["event"],
            **named,
        }
    )
    return (message, datagram), {}


def _plain(value: Any) -> Any:
    """Return a value as a field has it: one with parts as JSON, and so is a truth value."""
    whole = isinstance(value, dict | list | tuple | bool)
    return json.dumps(value, default=str) if whole else value


class _JournalLogger:
    """Sends to the journal; what it does not take goes to the stream."""

    def __init__(self, sender: journald.JournalSender, write: Callable[[str], None]) -> None:
        self._sender, self._write = sender, write

    def msg(self, message: str, datagram: bytes) -> None:
        """Send one event."""
        if len(datagram) > journald.MAX_BYTES or not self._sender.send(datagram):
            self._write(message)
