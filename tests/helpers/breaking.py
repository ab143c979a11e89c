"""Parts that a test breaks: before their first step, or in the middle, wherever they wait."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

import attrs

from vllmd.util.parts import Part, PartRunner


class QuickClock:
    """A clock whose pauses are over soon."""

    def monotonic(self) -> float:
        """Return a time that stands still: no part is ever steady."""
        return 0.0

    def time(self) -> float:
        """Return a time."""
        return 1_000_000.0

    async def sleep(self, _: float) -> None:
        """Wait for a moment."""
        await asyncio.sleep(0.02)


@attrs.define
class Run:
    """What a test knows of one part, and what it raises in it."""

    begin_with: list[BaseException] = attrs.field(factory=list)
    """What the next runs raise at their first step."""
    begun: int = 0
    done: bool = False
    broken_with: BaseException | None = None
    waking: asyncio.Event = attrs.field(factory=asyncio.Event)

    def break_with(self, error: BaseException) -> None:
        """Raise an error where the part waits now, as if what it waits for had raised it."""
        self.broken_with = error
        self.waking.set()


class BreakingParts(PartRunner):
    """Runs parts as the daemon does, until a test breaks them."""

    def __init__(self) -> None:
        super().__init__(QuickClock())
        self.runs: dict[str, Run] = {}
        self.always: dict[str, BaseException] = {}
        """What the first run of each part raises at its first step, by name; `*` for all."""

    async def keep(self, part: Part) -> None:
        """Run a part under a test's hand."""
        run = self.runs[part.name] = Run()
        error = self.always.get(part.name, self.always.get("*"))
        if error is not None:
            run.begin_with.append(error)

        async def broken() -> None:
            run.begun += 1
            if run.begin_with:
                raise run.begin_with.pop(0)
            await _Driven(part.run(), run)  # type: ignore[arg-type]
            run.done = True

        await super().keep(attrs.evolve(part, run=broken))


class _Driven:
    """A coroutine, step by step: where it waits, a test may let it raise."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], run: Run) -> None:
        self._coroutine, self._run = coroutine, run

    def __await__(self) -> Generator[Any, Any, None]:
        error: BaseException | None = None
        while True:
            try:
                if error is None:
                    waited = self._coroutine.send(None)
                else:
                    waited = self._coroutine.throw(error)
            except StopIteration:
                return
            error = None
            try:
                if waited is None:
                    yield None
                else:
                    yield from _either(waited, self._run).__await__()
            except BaseException as raised:  # noqa: BLE001 - it is thrown into the coroutine
                error = raised


async def _either(waited: asyncio.Future[Any], run: Run) -> None:
    """Wait for what a part waits for, or until a test breaks it."""
    waited._asyncio_future_blocking = False
    woken = asyncio.ensure_future(run.waking.wait())
    try:
        await asyncio.wait({waited, woken}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        waited.cancel()
        raise
    finally:
        woken.cancel()
    if run.broken_with is not None:
        error, run.broken_with = run.broken_with, None
        run.waking.clear()
        raise error
