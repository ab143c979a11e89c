"""No start without room: an engine that would find too little GPU memory waits, and says for whom.

vLLM would load for half a minute and refuse to start. But an estimate may be wrong, and then
waiting is the outage: a shortage that is not sure, or is not any more, is waited for two minutes
only, and no wait is longer than `restart.room_wait_s`; then the engine is started all the same. So
it is by `vllmd start`. A command that became ready in such a start is one for which the estimate is
wrong: no shortage is sure from then on, and after the second time none is waited for.
"""

import time

from vllmd.config.model import EngineConfig
from vllmd.engine.causes import BY_NAME
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit
from vllmd.engine.gpu_interface import EngineGpus, MemoryWait, Shortage
from vllmd.events.base import emit
from vllmd.events.engine import EngineRoomAwaited, EngineRoomWaitEnded
from vllmd.util.clock import Clock
from vllmd.util.units import MINUTE_S, format_bytes

VRAM_HELD, OUT_OF_MEMORY = BY_NAME["vram_held"], BY_NAME["cuda_out_of_memory"]
UNSURE_WAIT_S = 2 * MINUTE_S
WRONG_TWICE = 2
"""Starts against the estimate that became ready, after which no shortage is waited for."""
FIRST_S = 5.0
"""How long the first readings are waited for after the daemon's start; they take a second."""
SEEN_TWICE = 2
"""Readings are a second old: the memory of the run before may just have come back."""


class RoomGate:
    """One engine's; what it waits for is in the engine's state."""

    def __init__(self, engine_state: EngineState, clock: Clock) -> None:
        self._state = engine_state
        self._clock = clock
        self._made_at = clock.monotonic()

    def use(self, engine: EngineConfig, command_hash: str, gpu: EngineGpus) -> None:
        """Say what the next start is of, and who knows of room."""
        self._engine = engine
        self._command_hash = command_hash
        self._gpu = gpu

    def look(self) -> str | None:
        """Look whether the engine may start now.

        Returns: None if it may; else what it waits for, as a sentence, or "" if that is to be seen
            once more before it is said.
        """
        if self._gpu.awaited() and self._clock.monotonic() < self._made_at + FIRST_S:
            return ""
        state, wait = self._state, self._state.room_wait
        shortage = self._gpu.shortage() if self._engine.restart.room_wait_s else None
        state.starts_short = shortage is not None
        if shortage is None:
            self.end("there is room")
            return None
        now, limit_s = self._clock.monotonic(), self._limit_s(shortage)
        if wait is None:
            wait = state.room_wait = MemoryWait(shortage, now, limit_s, now + limit_s)
        changed = self._follow(wait, limit_s, now) or wait.shortage.names != shortage.names
        if wait.requested or now >= wait.until:
            self.end("a start was requested" if wait.requested else "it waited long enough")
            return None
        wait.looks += 1
        if wait.looks < SEEN_TWICE:
            return ""
        if wait.words is None or changed:
            wait.words = self._words(shortage, wait.until - now)
            emit(
                state.log,
                EngineRoomAwaited(
                    gpu=shortage.gpu,
                    missing_bytes=shortage.missing_bytes,
                    holders=shortage.holders,
                    sure=shortage.sure,
                    text=wait.words,
                ),
            )
        wait.shortage = shortage
        return wait.words

    def is_lost(self) -> bool:
        """Tell whether there is too little room now, where there was enough at the last look."""
        if self._state.starts_short or not self._engine.restart.room_wait_s:
            return False
        return self._gpu.shortage() is not None

    def open(self) -> None:
        """Let an engine that waits start now: somebody asked for it."""
        if self._state.room_wait is not None:
            self._state.room_wait.requested = True

    def end(self, why: str) -> None:
        """Wait no more; nothing happens if it did not."""
        wait, self._state.room_wait = self._state.room_wait, None
        if wait is not None and wait.words is not None:
            after_s = round(self._clock.monotonic() - wait.since, 1)
            emit(self._state.log, EngineRoomWaitEnded(why=why, after_s=after_s))
            if self._state.problem == wait.words:
                self._state.problem = None

    def _follow(self, wait: MemoryWait, limit_s: float, now: float) -> bool:
        """Wait until another time if the shortage has become another; tell whether it has."""
        longer = limit_s > wait.limit_s
        if limit_s == wait.limit_s or (longer and wait.lengthened):
            return False
        wait.lengthened = wait.lengthened or longer
        wait.limit_s = limit_s
        wait.until = min(wait.since + self._engine.restart.room_wait_s, now + limit_s)
        return True

    def _limit_s(self, shortage: Shortage) -> float:
        """Return how long to wait; shorter if vLLM might start, or was never seen on a GPU."""
        known, most_s = self._state.known, self._engine.restart.room_wait_s
        unsure_s = min(UNSURE_WAIT_S, most_s)
        refused = _refused_for_memory(known.last_exit)
        wrong = known.short_starts.get(self._command_hash, 0)
        if wrong:
            return unsure_s if refused or wrong < WRONG_TWICE else 0.0
        on_gpus = any(work.on_gpus for work in known.work.values())
        return most_s if refused or (shortage.sure and on_gpus) else unsure_s

    def _words(self, shortage: Shortage, left_s: float) -> str:
        held = "; ".join(shortage.holders) or "processes that cannot be seen from here"
        latest = time.strftime("%H:%M:%S UTC", time.gmtime(self._clock.time() + left_s))
        return (
            f"waits for GPU memory: {format_bytes(shortage.missing_bytes)} too little is free on "
            f"GPU {shortage.gpu}, held by {held}. It starts as soon as there is room, at {latest} "
            f"at the latest; 'vllmd start {self._engine.name}' starts it all the same"
        )


def _refused_for_memory(end: Exit | None) -> bool:
    """Tell whether a run ended so that it proves a shortage, sure or not.

    One that ran out of memory while it served does not: it had started.
    """
    if end is None or end.diagnosis is None:
        return False
    cause = end.diagnosis.cause
    loading = end.phase is not None
    return cause == VRAM_HELD.name or (cause == OUT_OF_MEMORY.name and loading)
