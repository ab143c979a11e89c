"""Engines that are functions of a clock: what they show depends on when they were asked."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

import attrs
import httpx

from tests.helpers.late_loop import NEVER_S, VirtualLoop
from tests.helpers.shims import FakeShim
from vllmd.engine.liveness.reading import ProcessActivity, ProcessUse
from vllmd.scrape.page import Page, PageSource
from vllmd.shim.protocol import Spec


@attrs.frozen
class Pattern:
    """What an engine does for a while."""

    until: float
    running: int = 0
    steps_per_s: float = 0.0
    core_cpu: float = 0.0
    api_cpu: float = 0.003
    answers_after_s: float = 0.01
    """How long a page takes; `NEVER_S` while the API is too busy, until the end of this."""
    sleeping: bool = False
    gpu: str = "idle"
    """What its GPU shows: idle, light, work or spin."""
    state: str = "S"
    """Of the process that computes."""


class SimulatedEngine:
    """An engine as a function of time, asked in the order of time."""

    API, CORE = 5, 10

    def __init__(self, dice: random.Random, stall_s: float, hang_s: float) -> None:
        self._dice = dice
        self._stall_s = stall_s
        self._hang_s = hang_s
        self.hang: str | None = None
        self.hung_at = NEVER_S
        self.hung_late_s = 0.0
        self.looks_lost = 0
        """Fresh looks since it hangs that said nothing: for each, one more poll is waited for."""
        self.loaded_at = 0.0
        self._at = 0.0
        self._steps = 0.0
        self._cpu = [0.0, 0.0]
        self._pattern = Pattern(0.0)
        self._past: deque[tuple[float, Pattern]] = deque([(0.0, self._pattern)], maxlen=200)
        self.mute_until = 0.0
        """When it answered slowly, or not at all, for the last time."""

    def start(self, now: float, load_stall_s: float, *, hangs: bool) -> None:
        """Begin to load."""
        self._move(now)
        self.hang, self.hung_at, self.looks_lost = None, NEVER_S, 0
        self._steps = 0.0
        self._does(Pattern(now))
        self.loaded_at = now + self._dice.uniform(1, 0.8 * load_stall_s)
        if hangs:
            self.hang, self.hung_at, self.loaded_at = "load", now, NEVER_S
            self._does(Pattern(NEVER_S, api_cpu=0.0))

    def _does(self, pattern: Pattern) -> None:
        """Do this from now on."""
        self._pattern = pattern
        self._past.append((self._at, pattern))

    def gpu_at(self, at: float) -> str:
        """Return what its GPU showed at some time of the last minutes."""
        self._move(at)
        return next((pattern.gpu for since, pattern in reversed(self._past) if since <= at), "idle")

    def freeze(self, now: float, kind: str) -> None:
        """Hang from now on: core, spin, api, refused or rest."""
        self._move(now)
        self.hang, self.hung_at, self.looks_lost = kind, now, 0
        if kind in ("core", "spin"):
            cpu = 1.0 if kind == "spin" else 0.0
            gpu, state = ("spin", "R") if kind == "spin" else ("idle", "T")
            self._does(Pattern(NEVER_S, running=1, core_cpu=cpu, gpu=gpu, state=state))
        else:
            self._does(Pattern(NEVER_S, api_cpu=0.0))

    def activity(self, now: float) -> ProcessActivity:
        self._move(now)
        core = ProcessUse(self.CORE, self.API, self._cpu[1], 0, self._pattern.state)
        return ProcessActivity(self._cpu[0], self._cpu[1], 0, at=now, processes=(core,))

    def page(self, asked: float) -> tuple[float, bytes]:
        """Return after how many seconds a page that is asked for comes, and what it shows.

        Raises: ConnectionRefusedError.
        """
        if self.hang == "refused" or asked < self.loaded_at:
            raise ConnectionRefusedError(111, "nobody listens")
        if self.hang == "api":
            return NEVER_S, b""
        self._move(asked)
        after_s = self._pattern.answers_after_s
        if after_s >= NEVER_S:
            after_s = self._pattern.until - asked + 0.1
        if after_s > 1:
            self.mute_until = asked + after_s
        self._move(asked + min(after_s, 0.01))
        asleep = int(self._pattern.sleeping)
        text = (
            f'vllm:iteration_tokens_total_count{{engine="0"}} {int(self._steps)}\n'
            f'vllm:num_requests_running{{engine="0"}} {self._pattern.running}\n'
            f'vllm:engine_sleep_state{{engine="0",sleep_state="discard_all"}} {asleep}\n'
        )
        return after_s, text.encode()

    def complete(self, asked: float) -> float:
        """Return after how many seconds a completion of one token that is asked for comes."""
        if self.hang is not None or asked < self.loaded_at:
            return NEVER_S
        self._move(asked)
        self._steps += 1
        return self._dice.uniform(0.02, 2)

    def _move(self, now: float) -> None:
        while self._at < now:
            if self._at >= self._pattern.until and self.hang is None:
                self._does(self._next(self._at))
            until = min(now, self._pattern.until)
            seconds = until - self._at
            self._steps += self._pattern.steps_per_s * seconds
            self._cpu[0] += self._pattern.api_cpu * seconds
            self._cpu[1] += self._pattern.core_cpu * seconds
            self._at = until

    def _next(self, now: float) -> Pattern:  # noqa: PLR0911 - one for each kind
        """Draw what comes next; after each step that took long another begins."""
        dice = self._dice
        self._steps = float(int(self._steps) + 1)
        kind = dice.choice(["idle", "idle", "decode", "prefill", "quiet", "slow", "mute", "sleep"])
        before = self._pattern
        if (before.running and not before.steps_per_s) or before.answers_after_s > 1:
            kind = "decode"  # two of them in a row may be longer than a limit
        used = dice.uniform(0.3, 4)
        if kind == "idle":
            return Pattern(now + dice.uniform(5, 1800))
        if kind == "decode":
            gpu = dice.choice(["work", "work", "light"])
            return Pattern(now + dice.uniform(2, 600), 3, 20.0, used, 0.3, gpu=gpu)
        if kind == "prefill":
            gpu = dice.choice(["work", "work", "light", "idle"])  # it may compile, or wait for CPU
            return Pattern(now + dice.uniform(1, 0.9 * self._hang_s), 1, 0.0, used, gpu=gpu)
        if kind == "quiet":
            until, starved = now + dice.uniform(0.5, 0.9 * self._stall_s), dice.random() < 0.3
            if starved:  # by the same host that keeps the daemon from its turns
                return Pattern(until, 1, 0.0, 0.01, state="R")
            return Pattern(until, 1, gpu="work")
        if kind == "slow":
            slow_s = dice.uniform(0.2, 4.5)
            until = now + dice.uniform(5, 300)
            return Pattern(until, 200, 20.0, used, 0.9, slow_s, gpu="work")
        if kind == "mute":
            until = now + dice.uniform(5, 0.8 * self._hang_s)
            return Pattern(until, 200, 9.0, used, 0.9, NEVER_S, gpu="work")
        return Pattern(now + dice.uniform(5, 900), sleeping=True)


class SimulatedSource(PageSource):
    """The page of a simulated engine: asked, answered and read in turns of the loop."""

    engine_of: SimulatedEngine
    loop: VirtualLoop

    async def _read(self) -> bytes:
        await turns(2)
        try:
            after_s, content = self.engine_of.page(self.loop.now)
        except ConnectionRefusedError as error:
            raise httpx.ConnectError("all attempts failed") from error
        await asyncio.sleep(after_s)
        await turns(2)
        return content


async def turns(count: int) -> None:
    """Take turns of the loop, each of which may be late."""
    for _ in range(count):
        await asyncio.sleep(0)


class NothingKept:
    """In the place of the pages of the last minutes."""

    def add(self, page: Page, at: float) -> None:
        """Keep nothing."""


class SimulatedShims:
    """Spawns shims without processes, and tells when an engine begins to load."""

    def __init__(self, spawned: Callable[[FakeShim], None]) -> None:
        self._spawned = spawned

    async def spawn(self, spec: Spec) -> None:
        shim = FakeShim(spec)
        await shim.listen()
        self._spawned(shim)

    def reap(self) -> None:
        """Have nothing to collect."""
