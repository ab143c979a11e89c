"""How every long-lived part of the daemon runs: one that fails is told, counted, and tried again.

A part is a coroutine that goes on until the daemon ends (`PartRunner.keep`), or a thread or a
listener that handles one thing after another (`PartRunner.note`). A mistake in one costs what that
part does, and nothing else.
"""

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any

import attrs
import structlog

from vllmd.errors import VllmdError
from vllmd.events.base import emit
from vllmd.events.daemon import PartFailed
from vllmd.util.clock import Clock, SystemClock

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 120.0
"""A part that ran so long begins again with the first pause."""
MANY = 3
WINDOW_S = 600.0
"""With `MANY` failures within `WINDOW_S` a part keeps failing."""
TOLD_EVERY_S = 60.0
"""What fails for each thing that it handles is told so often; all of it is counted."""
LOOP = "event_loop"
"""The part that failed where a callback, or a task that nobody waited for, did."""

STRANGE = (Exception, SystemExit, BaseExceptionGroup)
"""What a part may raise without meaning that its caller is to end."""

_log = structlog.get_logger()


@attrs.frozen
class Part:
    """One long-lived part: `run` goes on until it is cancelled."""

    name: str
    """Unique and bounded by the configuration: the label `part` of the metrics."""
    run: Callable[[], Awaitable[None]]
    may_end: bool = False
    """Whether it is done when `run` returns; otherwise that is a failure like any other."""
    engine: str | None = None
    failed: Callable[[], None] = lambda: None
    """Called after each failure, before the pause: it lets go of what is half done."""
    longest_pause_s: float = LONGEST_PAUSE_S


class EndedError(RuntimeError):
    """A part returned, or was cancelled from within, although it should go on."""


@attrs.frozen
class FailingPart:
    """A part that keeps failing. Times are seconds since the epoch."""

    part: str
    failures: int
    problem: str
    failed_at: float
    retry_at: float | None
    """When it is tried again; None while it runs, and for a thread, which goes on."""

    def to_json(self) -> dict[str, Any]:
        """Return it as `vllmd status --json` shows it."""
        return attrs.asdict(self)


@attrs.define
class _PartRecord:
    failures: int = 0
    recent: deque[float] = attrs.field(factory=lambda: deque(maxlen=MANY))
    problem: str = ""
    failed_at: float = 0.0
    retry_at: float | None = None
    told_at: float | None = None


class PartRunner:
    """Runs parts, and knows how each of them fares."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._records: dict[str, _PartRecord] = {}
        self._lock = threading.Lock()
        self.ending = False
        """Whether the daemon ends: then a part that may end, and only fails, is given up."""

    async def keep(self, part: Part) -> None:
        """Run a part until it is done or the caller is cancelled, whatever it raises."""
        pause_s, tries_left = FIRST_PAUSE_S, MANY
        self._begin(part.name)
        while True:
            began = self._clock.monotonic()
            error = await _run(part)
            if error is None:
                return
            if self._clock.monotonic() - began >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            pause_s = min(pause_s, part.longest_pause_s)
            self.note(part.name, error, retry_s=pause_s, engine=part.engine)
            try:
                part.failed()
            except Exception as another:  # noqa: BLE001 - isolates a part
                self.note(part.name, another, retry_s=pause_s, engine=part.engine)
            tries_left -= self.ending and part.may_end
            if not tries_left:
                return
            await self._clock.sleep(pause_s)
            self._begin(part.name)
            pause_s *= 2

    def _begin(self, name: str) -> None:
        with self._lock:
            record = self._records.setdefault(name, _PartRecord())
            record.retry_at = None

    def know(self, *names: str) -> None:
        """Count from zero from now on: a first failure is then an increase."""
        with self._lock:
            for name in names:
                self._records.setdefault(name, _PartRecord())

    def forget(self, name: str) -> None:
        """Forget a part that is not configured any more."""
        with self._lock:
            self._records.pop(name, None)

    @contextlib.contextmanager
    def isolated(self, name: str) -> Iterator[None]:
        """Count and tell what is raised inside, which then is over."""
        try:
            yield
        except STRANGE as error:  # isolates a part
            self.note(name, error)

    def take_from_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Count and tell what nobody else hears of: an event loop's exception handler."""
        error = context.get("exception")
        self.note(LOOP, error or RuntimeError(context.get("message", "no message")))

    def note(
        self,
        name: str,
        error: BaseException,
        *,
        retry_s: float | None = None,
        engine: str | None = None,
    ) -> None:
        """Count and tell that a part failed; any thread may call this, and it never raises.

        Without `retry_s` the part goes on at once, and the like is told once in a while only.
        """
        now = self._clock.monotonic()
        with self._lock:
            record = self._records.setdefault(name, _PartRecord())
            record.failures += 1
            record.recent.append(now)
            record.problem = describe(error)
            record.failed_at = self._clock.time()
            record.retry_at = None if retry_s is None else record.failed_at + retry_s
            soon = record.told_at is not None and now - record.told_at < TOLD_EVERY_S
            if retry_s is None and soon:
                return
            record.told_at = now
            failures, problem = record.failures, record.problem
        try:
            emit(
                _log,
                PartFailed(part=name, problem=problem, failures=failures, retry_s=retry_s),
                exc_info=error,
                engine=engine or None,
            )
        except Exception:  # noqa: BLE001 - a log that fails must not end what it tells of
            return

    # --- what others ask of it ---------------------------------------------------------------

    def failures(self) -> Mapping[str, int]:
        """Return how often each part failed, those too that never did."""
        with self._lock:
            return Counter({name: record.failures for name, record in self._records.items()})

    def failing(self) -> list[FailingPart]:
        """Return the parts that wait to be tried again, or failed often of late."""
        now = self._clock.monotonic()
        with self._lock:
            return [
                FailingPart(name, each.failures, each.problem, each.failed_at, each.retry_at)
                for name, each in self._records.items()
                if each.retry_at is not None
                or (len(each.recent) == MANY and now - each.recent[0] <= WINDOW_S)
            ]


class RunningParts:
    """The parts that run now. Another set takes its place: what is in both goes on unbroken."""

    def __init__(self, parts: PartRunner, done: Callable[[], None] = lambda: None) -> None:
        """Make an empty set; `done` is told when a part has ended that may."""
        self._parts = parts
        self._done = done
        self._tasks: dict[str, tuple[Part, asyncio.Task[None]]] = {}

    def become(self, wanted: Iterable[Part]) -> None:
        """Run these, and no others; one that runs something else than before begins anew."""
        new = {part.name: part for part in wanted}
        for name, (part, task) in list(self._tasks.items()):
            if name not in new or new[name].run != part.run:
                task.cancel()
                del self._tasks[name]
                if name not in new:
                    self._parts.forget(name)
        for name, part in new.items():
            if name not in self._tasks or self._tasks[name][1].done():
                task = asyncio.create_task(self._parts.keep(part), name=name)
                self._tasks[name] = part, task
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        if (error := task.exception()) is not None:  # nothing that a part raises comes so far
            self._parts.note(task.get_name(), error)
        self._done()

    def is_over(self, name: str) -> bool:
        """Tell whether a part is done, or was never begun."""
        return name not in self._tasks or self._tasks[name][1].done()

    async def wait(self, names: Iterable[str] | None = None) -> None:
        """Wait until these are done, or all of them."""
        wanted = self._tasks.keys() if names is None else set(names)
        tasks = [task for name, (_, task) in self._tasks.items() if name in wanted]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """End all of them."""
        for _, task in self._tasks.values():
            task.cancel()
        await self.wait()


def run_main(main: Coroutine[Any, Any, None], parts: PartRunner) -> None:
    """Run a coroutine to its end, as `asyncio.run` does, whatever a task beside it raises.

    A SystemExit of a task or a callback, which asyncio lets end the loop, is counted and told.

    Raises: whatever `main` does; KeyboardInterrupt.
    """
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while True:
            try:
                loop.run_until_complete(task)
            except SystemExit as error:
                if task.done():
                    raise
                parts.note(LOOP, error)
            else:
                return


async def _run(part: Part) -> BaseException | None:
    """Run a part once; returns what went wrong, None if it is done.

    Raises: CancelledError: the caller is cancelled, not something within the part.
    """
    task = asyncio.current_task()
    try:
        await part.run()
    except asyncio.CancelledError:
        if task is None or task.cancelling():
            raise
        return EndedError("it was cancelled from within, although it should go on")
    except STRANGE as error:  # isolates a part
        return error
    return None if part.may_end else EndedError("it ended, although it should go on")


def describe(error: BaseException) -> str:
    """Return an error in one line: of a group, all that is in it."""
    if isinstance(error, VllmdError):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(describe(each) for each in error.exceptions))
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
