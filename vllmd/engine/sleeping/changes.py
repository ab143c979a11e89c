"""How an engine falls asleep and wakes: the steps, in the order that a kill in between needs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import attrs

from vllmd.config.model import EngineConfig
from vllmd.config.sleep import DISCARD
from vllmd.engine import exits
from vllmd.engine.engine_state import EngineState
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.monitor import Stall
from vllmd.engine.liveness.probes import Probes
from vllmd.engine.liveness.reading import PageAnswer
from vllmd.engine.liveness.stall_detector import LoadStallDetector
from vllmd.engine.probes.sleep_routes import (
    NotHeardError,
    RoutesMissingError,
    SleepRouteError,
    SleepRoutes,
)
from vllmd.engine.process.asleep import ANOTHER, Asleep
from vllmd.engine.sleeping import refusal
from vllmd.engine.sleeping.host_memory import WeightsMemory
from vllmd.engine.sleeping.memory_proof import Proof, prove
from vllmd.engine.sleeping.rules import Wish
from vllmd.engine.state_machine import State, Trigger
from vllmd.events.base import emit
from vllmd.events.engine import EngineSlept, EngineWoke
from vllmd.shim.protocol import RunRecord
from vllmd.util.loop_lag import LoopLag
from vllmd.util.units import format_duration

POLL_S = 1.0
SURE_S = 10.0
"""What was asked over a connection that failed may be under way for so long, or was never asked."""


class SleepRefusedError(Exception):
    """It is as it was; the message says why, as a part of a sentence."""


@attrs.frozen
class SleepChanges:
    """What is done to one engine, for one set of settings. Nothing else follows it meanwhile."""

    engine: EngineConfig
    engine_state: EngineState
    probes: Probes
    routes: SleepRoutes
    gpu: EngineGpus
    lag: LoopLag
    host_memory: WeightsMemory

    async def fall_asleep(self, wish: Wish, run: RunRecord) -> Stall | None:
        """Drain a ready engine and put it to sleep.

        Returns: why it is to be killed, if it hangs in that. Raises: SleepRefusedError.
        """
        if self.engine.sleep is None:
            raise SleepRefusedError(f"{refusal.of_settings(self.engine, None)}")
        level = wish.level or self.engine.sleep.level
        await self._check(level, run)
        began, state = self.lag.clock.monotonic(), self.engine_state
        state.to(Trigger.DRAIN)
        told = False
        try:
            await self._drained()
            with self.host_memory.promised(self._weights_bytes(level, run)):
                held = self.gpu.memory_bytes()
                state.rest(Asleep(level, wish.by, self.lag.clock.time(), held))
                await state.saved()
                told = True
                doing = self.routes.sleep(level)
                stall = await self._done(doing, run, "to fall asleep", asleep=True)
            if stall is not None:
                return stall
        except SleepRefusedError:
            told = False
            raise
        except SleepRouteError as error:
            told = not await self._woken_again(run)
            if told:
                return Stall(exits.SLEEP_FAILED, f"it did not fall asleep ({error}), nor wake")
            raise SleepRefusedError(str(error)) from None
        finally:
            self._settle(asleep=told)
        proof = await prove(self.gpu, self.engine, state.sizes, held, self.lag.clock)
        self._slept(proof, self.lag.clock.monotonic() - began)
        return None

    async def settle(self) -> None:
        """Ask the GPUs about one that sleeps, of which an earlier daemon did not hear that."""
        state, clock = self.engine_state, self.lag.clock
        if (asleep := state.asleep) is not None:
            held = asleep.held_before_bytes
            proof = await prove(self.gpu, self.engine, state.sizes, held, clock)
            self._slept(proof, max(0.0, clock.time() - asleep.at))

    async def _check(self, level: int, run: RunRecord) -> None:
        """Find what keeps it from sleeping, before it turns red. Raises: SleepRefusedError."""
        why = refusal.of_settings(self.engine, level)
        if why is not None:
            raise SleepRefusedError(why)
        self._weights_bytes(level, run)
        try:
            await self.routes.is_asleep()
        except RoutesMissingError as error:
            raise SleepRefusedError(str(error)) from None

    def _weights_bytes(self, level: int, run: RunRecord) -> int:
        """Return what it takes of the host's memory now. Raises: SleepRefusedError: more than is.

        Others may fall asleep meanwhile: it is asked before the drain, and right before the sleep.
        """
        if level == DISCARD:
            return 0
        needed = refusal.weights_bytes(self.engine, self.engine_state.sizes)
        why = refusal.of_host_memory(needed, self.host_memory.left(run["engine_pid"]))
        if why is not None:
            raise SleepRefusedError(why)
        return needed or 0

    async def _drained(self) -> None:
        """Keep it red for a while, and wait for its requests. Raises: SleepRefusedError."""
        await self.lag.clock.sleep(self.engine.unready_s)
        began = self.lag.watched()
        while True:
            reading = await self.probes.serving()
            self.engine_state.show(reading)
            page = reading.answer is PageAnswer.PAGE
            in_flight = reading.running + reading.waiting if page and reading.ranks else None
            if in_flight == 0:
                return
            if self.lag.watched() - began >= self.engine.drain_s:
                if in_flight is None and page:
                    return  # without counts (--disable-log-stats); vLLM itself waits for them
                left = "it does not answer" if in_flight is None else f"{in_flight} requests run"
                raise SleepRefusedError(f"{left} after drain_s ({self.engine.drain_s:g} s)")
            await self.lag.clock.sleep(POLL_S)

    async def _woken_again(self, run: RunRecord) -> bool:
        """Undo a sleep that failed half-way; tell whether it computes again."""
        try:
            stall = await self._done(self.routes.wake(1), run, "to wake", asleep=False)
            return stall is None and await self._answer(asleep=False) is False
        except (SleepRouteError, SleepRefusedError):
            return False

    def _settle(self, *, asleep: bool) -> None:
        """Leave no state half-way; `asleep` if vLLM was told to, whatever came of it."""
        if self.engine_state.state is not State.DRAINING:
            return
        if not asleep:
            self.engine_state.rest(None)
        self.engine_state.to(Trigger.SLEPT if asleep else Trigger.KEPT)

    def _slept(self, proof: Proof, after_s: float) -> None:
        state, asleep = self.engine_state, self.engine_state.asleep
        if asleep is None:
            return  # somebody woke it meanwhile
        state.rest(attrs.evolve(asleep, held_bytes=proof.held_bytes, settled=True))
        if proof.problem is not None:
            state.found(proof.problem)
        emit(
            state.log,
            EngineSlept(
                by=asleep.by,
                sleep_level=asleep.level,
                after_s=round(after_s, 3),
                held_before_bytes=asleep.held_before_bytes,
                held_bytes=proof.held_bytes,
                problem=proof.problem,
            ),
        )

    async def wake(self, wish: Wish, run: RunRecord) -> Stall | None:
        """Wake it. Returns: why it is to be killed, if it does not wake. Raises: SleepRefusedError.

        What is in the memory of an engine whose wake failed is not known: it is started anew.
        """
        state = self.engine_state
        asleep = state.asleep or Asleep(1, ANOTHER, state.since)
        began = self.lag.clock.monotonic()
        try:
            doing = self.routes.wake(asleep.level)
            stall = await self._done(doing, run, "to wake", asleep=False, before=asleep)
        except RoutesMissingError as error:
            raise SleepRefusedError(str(error)) from None
        except SleepRouteError as error:
            return Stall(exits.WAKE_FAILED, str(error))
        if stall is None:
            self.woke(wish.by, asleep, began)
        return stall

    async def complete(self, run: RunRecord) -> Stall | None:
        """Deal with one that vllmd put to sleep, and that is awake without a wake that ended.

        Somebody else woke it, or a daemon was killed in the middle. At level 2 its weights may be
        gone: they are read before anything is said of it.
        """
        asleep, began = self.engine_state.asleep, self.lag.clock.monotonic()
        assert asleep is not None
        if asleep.level == DISCARD:
            try:
                stall = await self._weights_read(run, asleep)
            except SleepRouteError as error:
                return Stall(exits.WAKE_FAILED, str(error))
            if stall is not None:
                return stall
        self.woke(ANOTHER, asleep, began)
        return None

    async def _weights_read(self, run: RunRecord, asleep: Asleep) -> Stall | None:
        """Have it read its weights, as often as the connection fails. Raises: SleepRouteError."""
        while True:
            try:
                return await self._limited(self.routes.reload_weights(), run, "to wake", asleep)
            except NotHeardError as error:
                await self.lag.clock.sleep(POLL_S)
                if await self._answer(asleep=False) is None:
                    return Stall(exits.STALLED, f"it does not answer ({error})")

    def woke(self, by: str, asleep: Asleep, began: float) -> None:
        """Note that it serves again; `began` is monotonic."""
        clock, state = self.lag.clock, self.engine_state
        state.idle.begin()
        state.sleep_changed_at = self.lag.watched()
        state.problem = None
        state.to(Trigger.ANSWERED)
        emit(
            state.log,
            EngineWoke(
                by=by,
                sleep_level=asleep.level,
                after_s=round(clock.monotonic() - began, 3),
                asleep_s=round(max(0.0, clock.time() - asleep.at), 1),
            ),
        )

    async def _done(
        self,
        doing: Coroutine[Any, Any, None],
        run: RunRecord,
        what: str,
        *,
        asleep: bool,
        before: Asleep | None = None,
    ) -> Stall | None:
        """Have vLLM do it; if the connection fails, it is asked whether it did: `asleep` or not.

        Returns: why it hangs, if it does. Raises: SleepRouteError: it answered that it failed;
        SleepRefusedError: it did not hear of it.
        """
        try:
            return await self._limited(doing, run, what, before)
        except NotHeardError as error:
            now = await self._answer(asleep=asleep)
            if now is None:
                return Stall(exits.STALLED, f"it does not answer, and was {what} ({error})")
            if now is not asleep:
                raise SleepRefusedError(str(error)) from None
            return None

    async def _answer(self, *, asleep: bool) -> bool | None:
        """Ask whether it sleeps, until it is so, or has not become so for a while.

        Returns: None if it does not answer for longer than `hang_s`; time in which vllmd itself
        cannot ask (it has no file descriptors) does not count. Raises: RoutesMissingError.
        """
        heard_at = self.lag.watched()
        contrary_since: float | None = None
        while True:
            answer, now = await self.routes.is_asleep(), self.lag.watched()
            if answer is asleep:
                return answer
            if answer is not None:
                contrary_since = now if contrary_since is None else contrary_since
                if now - contrary_since >= SURE_S:
                    return answer
            if answer is not None or await self._cannot_ask():
                heard_at = self.lag.watched()
            elif now - heard_at >= self.engine.liveness.hang_s:
                return None
            await self.lag.clock.sleep(POLL_S)

    async def _cannot_ask(self) -> bool:
        return (await self.probes.serving()).answer is PageAnswer.UNKNOWN

    async def _limited(
        self,
        doing: Coroutine[Any, Any, None],
        run: RunRecord,
        what: str,
        asleep: Asleep | None = None,
    ) -> Stall | None:
        """Wait for vLLM, as long as it gets on. Returns: why it hangs, if it does.

        Raises: SleepRouteError.
        """
        task = asyncio.ensure_future(doing)
        limits = self.engine.liveness
        loads = asleep is not None and asleep.level == DISCARD
        detector = LoadStallDetector(limits.load_stall_s, POLL_S)
        began = self.lag.watched()
        try:
            while not await self.lag.wait(task, POLL_S):
                took_s = self.lag.watched() - began
                if not loads and took_s >= limits.hang_s:
                    why = f"it took longer than {format_duration(took_s)} {what}"
                    return Stall(exits.STALLED, why)
                activity = self.probes.activity(run["shim_pid"], run["engine_pid"])
                still = detector.assess(self.lag.watched(), spoke=False, activity=activity)
                if loads and still:
                    return Stall(exits.STALLED, f"{what}: {still}")
            task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return None
