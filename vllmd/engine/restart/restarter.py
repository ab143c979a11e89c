"""What is done after a failure: the policy's decision carried out, and a hold waited for."""

from collections.abc import Callable, Mapping

import attrs

from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine.causes import BY_NAME
from vllmd.engine.engine_state import EngineState
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.restart import compile_cache, policy
from vllmd.engine.restart.dependencies import Dependencies
from vllmd.engine.restart.policy import Hold
from vllmd.events.base import emit
from vllmd.events.engine import EngineBackoffStarted, EngineCacheMoved
from vllmd.util.clock import Clock
from vllmd.util.within import run_within

MISMATCH = BY_NAME["driver_mismatch"]
COMPILE_CACHE = BY_NAME["compile_cache"]
MOVE_S = 60.0
"""To remove an older cache of many files takes that long on a slow disk."""
LOOK_S = 15.0
"""How often a held engine's dependency is looked at."""


class Restarter:
    """One engine's failures and holds."""

    def __init__(
        self,
        engine: EngineConfig,
        command: Command,
        engine_state: EngineState,
        *,
        clock: Clock,
        chance: Callable[[], float],
        dependencies: Dependencies,
    ) -> None:
        self._engine = engine
        self._command = command
        self._state = engine_state
        self._clock = clock
        self._chance = chance
        self._dependencies = dependencies

    async def decide(self) -> float | None:
        """Decide what follows the last end.

        An end that somebody asked of the shim, past this daemon, is no failure.

        Returns: a pause in seconds; None if the engine is held.
        """
        engine_state, known = self._state, self._state.known
        engine_state.follow_clock()
        last = known.last_exit
        if last is not None and last.requested:
            return self._engine.restart.initial_s
        diagnosis = last.diagnosis if last else None
        if engine_state.ready_s >= self._engine.restart.reset_after_s > 0:
            known.cache_moved = False
        poisoned = diagnosis is not None and diagnosis.cause == COMPILE_CACHE.name
        wall = poisoned and known.cache_moved
        if poisoned and not known.cache_moved:
            await self._move_cache()
        known.past, decision = policy.decide(
            known.past,
            diagnosis,
            self._engine.restart,
            command_hash=self._command.hash,
            ready_s=engine_state.ready_s,
            now=self._clock.time(),
            chance=self._chance(),
            wall=wall,
        )
        if len(known.past.failures) == 1:
            known.first_failure = last
        if isinstance(decision, Hold):
            await self._hold(decision)
            return None
        engine_state.save()
        emit(
            engine_state.log,
            EngineBackoffStarted(
                pause_s=round(decision.pause_s, 1), failures=len(known.past.failures)
            ),
        )
        return decision.pause_s

    async def _hold(self, hold: Hold) -> None:
        """Begin a hold, with what is known of what it waits for."""
        fine = await self._fine(hold.cause)
        fingerprint = await self._fingerprint()
        self._state.hold(attrs.evolve(hold, fine=fine, fingerprint=fingerprint))

    async def _move_cache(self) -> None:
        self._state.known.cache_moved = True
        env = self._command.env
        try:
            cache = str(compile_cache.folder(env))
            target = await run_within(cache, lambda: compile_cache.set_aside(env), MOVE_S)
        except OSError as error:
            self._state.found(f"the compile cache cannot be set aside: {error}")
            return
        emit(self._state.log, EngineCacheMoved(to=str(target) if target else None))

    def forget_failures(self) -> None:
        """Forget failures and a hold: an operator asked for a start."""
        known = self._state.known
        known.past, known.cache_moved = policy.forgotten(known.past), False
        if self._state.release("a start was requested") is None:
            self._state.save()

    async def still_held(self, mismatch: str | None = None) -> bool:
        """Tell whether a hold is on; one is over when the engine would start with something new.

        With a `mismatch`, the sentence about a driver that was changed, it begins: a start would
        load for minutes and fail.
        """
        hold = self._state.known.hold
        if hold is None and mismatch is not None:
            reason = f"{mismatch}. {MISMATCH.advice}"
            await self._hold(
                Hold(MISMATCH.name, reason, self._clock.time(), None, self._command.hash)
            )
            return True
        if hold is None:
            return False
        changed = await self._changed(hold)
        if changed is not None:
            self._release(hold, changed, by_time=False)
        return changed is None

    async def _changed(self, hold: Hold) -> str | None:
        if hold.command_hash != self._command.hash:
            return "the configuration changed"
        now = await self._fingerprint()
        changed = [n for n, was in hold.fingerprint.items() if now.get(n, was) != was]
        return f"another {' and another '.join(changed)} than before" if changed else None

    async def wait(self, requests: OperatorRequests, known: int) -> None:
        """Wait until the hold is over, or there are more wishes than the `known` ones."""
        while await self.still_held():
            self._state.follow_clock()
            hold = self._state.known.hold
            if hold is None:
                return
            left_s, retry_at = (
                LOOK_S,
                self._state.retry_at(self._engine.restart.hold_retry_s),
            )
            if retry_at is not None:
                left_s = min(left_s, max(0.0, retry_at.monotonic - self._clock.monotonic()))
            if await requests.beyond_within(known, left_s, self._clock):
                return
            if retry_at is not None and self._clock.monotonic() >= retry_at.monotonic:
                self._release(hold, "it is retried once", by_time=True)
                return
            if hold.fine is None:
                continue
            fine = await self._fine(hold.cause)
            if fine and not hold.fine:
                self._release(hold, "what it depends on is fine again", by_time=False)
                return
            if fine is False and hold.fine:
                self._state.known.hold = attrs.evolve(hold, fine=False)

    async def _fine(self, cause: str) -> bool | None:
        """Ask aside: a file server that does not answer must not hold up the daemon."""
        try:
            return await run_within(
                f"{self._engine.name} ({cause})", lambda: self._dependencies.fine(cause), LOOK_S
            )
        except OSError:
            return None

    async def _fingerprint(self) -> Mapping[str, str]:
        """Return what it runs on; nothing, if its program's disk does not answer."""
        try:
            program = self._command.argv[0]
            return await run_within(program, self._dependencies.fingerprint)
        except OSError:
            return {}

    def _release(self, hold: Hold, why: str, *, by_time: bool) -> None:
        known = self._state.known
        known.past = policy.released(known.past, hold, by_time=by_time)
        self._state.release(why)
