"""The daemon's end of the history: a queue, and a thread that writes it down."""

import queue
import sqlite3
import threading
from collections.abc import Callable
from functools import partial

import structlog

from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event
from vllmd.events.base import TypedEvent, emit
from vllmd.events.history import HistoryFailed
from vllmd.events.traces import RequestSlow
from vllmd.history.reading import EventFilter, read
from vllmd.history.store import Store
from vllmd.util.parts import PartRunner
from vllmd.util.within import run_within

QUEUE = 5000
BATCH = 500
GROUP_S = 0.5
"""Events that follow each other so closely are one commit: one wait for the disk."""
READ_S = 20.0
"""How long a reader waits for the disk."""
RETRY_S = 5.0
CLOSE_S = 5.0
PART = "history"
NOT_KEPT = frozenset({RequestSlow.name})
"""Events of the journal only: some come every minute, and tell of a request, not of an engine."""
_UNFIT = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, UnicodeError)
"""What an event raises that no file could take; the rest says that this file cannot be written."""

_log = structlog.get_logger()
_REPORT = partial(emit, _log)


class HistoryWriter:
    """Takes events in the event loop, at the cost of a queue; the disk is the thread's."""

    def __init__(
        self,
        store: Store,
        *,
        report: Callable[[TypedEvent], None] = _REPORT,
        parts: PartRunner | None = None,
    ) -> None:
        """Make a history; `report` logs what there is to tell of it, from the thread.

        `parts` counts mistakes in it.
        """
        self._parts = parts or PartRunner()
        self._parts.know(PART)
        self._store = store
        self._report = report
        self._queue: queue.SimpleQueue[Event | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._closing = threading.Event()
        self._room = QUEUE
        self._lock = threading.Lock()
        self.path = store.path
        self.dropped = 0
        """Events that were lost because the disk did not take them."""
        self.written = 0
        self.problem: str | None = "not opened yet"
        """Why nothing is written now; None while all is well."""
        self.bytes = 0
        self._reported: str | None = None

    def start(self) -> None:
        """Open the file, and write from now on."""
        self._thread.start()

    def limit(self, *, max_bytes: int, keep_days: float) -> None:
        """Keep so much from now on."""
        self._store.limit(max_bytes=max_bytes, keep_days=keep_days)

    def put(self, event: Event) -> None:
        """Take one event; never waits. What does not fit into the queue is counted."""
        if event.name in NOT_KEPT:
            return
        with self._lock:
            if self._room == 0:
                self.dropped += 1
                return
            self._room -= 1
        self._queue.put(event)

    def read(self, wanted: EventFilter) -> list[Event]:
        """Return events, the latest among them; waits for the disk, in a thread of the caller's.

        Raises: VllmdError: they cannot be read.
        """
        self.flush()
        try:
            return read(self.path, wanted)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise VllmdError(f"the history {self.path} cannot be read: {error}") from None

    async def read_aside(self, wanted: EventFilter) -> list[Event]:
        """Return them without holding up the event loop, whatever the disk does.

        Raises: VllmdError: they cannot be read.
        """
        try:
            return await run_within(str(self.path.parent), lambda: self.read(wanted), READ_S)
        except TimeoutError as error:
            raise VllmdError(f"the history {self.path} cannot be read: {error.strerror}") from None

    def flush(self, timeout_s: float = 1.0) -> bool:
        """Wait until what was put is written, in a thread of the caller's.

        Returns: whether it is.
        """
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout_s)

    def close(self) -> None:
        """Write what is left, and close the file; a disk that hangs is not waited for."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(CLOSE_S)

    # --- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        batch: list[Event] = []
        flushed: list[threading.Event] = []
        closing = False
        while not (closing and (not batch or self.problem)):
            if not closing and not batch:
                closing = self._take(batch, flushed)
            if self._try(batch):
                batch = []
                for each in flushed:
                    each.set()
                flushed = []
            elif not closing:
                closing = self._closing.wait(RETRY_S)
        self._give_up(batch)
        if self.problem is None:
            try:
                self._store.close()
            except (sqlite3.Error, ValueError) as error:
                self._failed(error)

    def _give_up(self, batch: list[Event]) -> None:
        """Count what the disk did not take until the end, and say so."""
        while not self._queue.empty():
            item = self._queue.get()
            if isinstance(item, Event):
                batch.append(item)
        if batch:
            self.dropped += len(batch)
            problem = f"{self.problem}; {len(batch)} events before the end are not in it"
            self._report(HistoryFailed(problem=problem))

    def _try(self, batch: list[Event]) -> bool:
        """Write a batch; tell whether that is over. A mistake in it must not end the thread."""
        try:
            if self.problem is None and not self._store.in_place():
                self._failed(
                    VllmdError("it was deleted, replaced or truncated: a new one is created")
                )
            return self._open_if_needed() and self._write(batch)
        except Exception as error:  # noqa: BLE001 - isolates the history
            self._parts.note(PART, error)
            self._failed(error)
            return False

    def _take(self, batch: list[Event], flushed: list[threading.Event]) -> bool:
        """Wait for events, and for those that follow closely; tell whether it is the end."""
        item = self._queue.get()
        if isinstance(item, Event) and self._queue.empty():
            self._closing.wait(GROUP_S)
        while True:
            if item is None:
                return True
            if isinstance(item, Event):
                batch.append(item)
            else:
                flushed.append(item)
            if len(batch) >= BATCH or self._queue.empty():
                return False
            item = self._queue.get()

    def _open_if_needed(self) -> bool:
        if self.problem is None:
            return True
        try:
            told = self._store.open()
        except (sqlite3.Error, OSError, LookupError, ValueError) as error:
            self._failed(error)
            return False
        self.problem = None
        for event in told:
            self._report(event)
        return True

    def _write(self, batch: list[Event]) -> bool:
        if batch:
            try:
                self._append(batch)
            except (sqlite3.Error, ValueError) as error:
                self._failed(error)
                return False
            self._reported = None
        try:
            self._store.prune_if_due()
            self.bytes = self._store.used_bytes()
        except (sqlite3.Error, ValueError) as error:
            self._failed(error)
        return True

    def _append(self, batch: list[Event]) -> None:
        """Write events; one that nobody can write is left out and counted, the others are not.

        Raises: sqlite3.Error, ValueError: the file cannot be written; the batch has what is left.
        """
        try:
            self._store.append(batch)
        except Exception as error:
            if isinstance(error, sqlite3.Error | ValueError) and not isinstance(error, _UNFIT):
                raise
            if len(batch) > 1:
                while batch:
                    self._append(batch[:1])
                    del batch[0]
                return
            self._parts.note(PART, error)
            self.dropped += 1
        else:
            self.written += len(batch)
        with self._lock:
            self._room += len(batch)

    def _failed(self, error: Exception) -> None:
        """Let go of the file, to be opened again, and say why once."""
        self._store.close_at_once()
        text = f"{self._store.path}: {error}"
        self.problem = text
        if text != self._reported:
            self._reported = text
            self._report(HistoryFailed(problem=text))
