"""An engine of a scene: what its vLLM counts, and what vllmd knows of it."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from prometheus_client import generate_latest

from tests.helpers.make import DATA
from vllmd.demo.args import Args
from vllmd.demo.metrics import Metrics
from vllmd.engine import exits
from vllmd.engine.exits import Exit
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.output.engine_output import OutputFigures
from vllmd.engine.restart.policy import Hold
from vllmd.engine.sleeping.status import SleepStatus
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.engine.weights.state import WeightsState, WeightsStatus
from vllmd.events.base import TypedEvent
from vllmd.events.engine import EngineExited, EngineHeld, EngineSpawned, EngineStateChanged
from vllmd.scrape.derived import RULES, derive
from vllmd.scrape.families import parse_page
from vllmd.traces.spans import RequestSpan
from vllmd.util.units import GIB

PHASES = {"init": 9.0, "weights": 55.0, "compile": 24.0, "kv_cache": 3.0, "graphs": 14.0}
SHOWN = (
    *("http_requests_total", "vllm:cache_config_info", "vllm:lora_requests_info"),
    *(
        name.decode() + part
        for rule in RULES
        for name in rule.sources
        for part in ("", *(("_bucket", "_count", "_sum") if rule.type == b"histogram" else ()))
    ),
)
"""What is read of its page: to render all of it takes three times as long."""
CAUSES = DATA / "causes"
Told = Callable[[TypedEvent, str, float], None]


@attrs.define
class Load:
    """What is asked of an engine, and how well it does."""

    requests_per_s: float = 1.5
    first_token_s: float = 0.35
    between_s: float = 0.018
    queue_s: float = 0.0
    prompt_tokens: int = 900
    answer_tokens: int = 220
    kv_usage: float = 0.35
    waiting: int = 0
    late_share: float = 0.0
    """How many first tokens take ten times as long."""
    failing_share: float = 0.0
    """How many requests get an HTTP 500."""
    missing_share: float = 0.0
    """How many ask for what is not there, and get a 404."""
    preemptions_per_s: float = 0.0
    cached_share: float = 0.4


class SceneEngine:
    """One engine: `load` is what it has to do, the methods are what happens to it."""

    def __init__(
        self,
        name: str,
        gpus: Sequence[int] = (0,),
        share: float = 0.9,
        model: str = "Qwen/Qwen3-32B",
        adapters: Sequence[str] = (),
    ) -> None:
        self.name, self.gpus, self.share, self.model = name, tuple(gpus), share, model
        self.adapters = tuple(adapters)
        self.load = Load()
        self.state, self.since, self.wanted = State.STOPPED, 0.0, True
        self.started_at: float | None = None
        self.page: Metrics | None = None
        self.exits: Counter[tuple[str, bool]] = Counter()
        self.causes: Counter[str] = Counter()
        self.restarts = self.requests_lost = 0
        self.last_exit: Exit | None = None
        self.hold: Hold | None = None
        self.shortage: Shortage | None = None
        self.weights: WeightsState | None = None
        """Of those that preload keeps; None if it keeps none."""
        self.lines: dict[str, int] = {"info": 120, "warning": 3, "error": 0}
        self.cpu_s, self.resident_bytes = 0.0, 9 * GIB
        self.grown_bytes = 0
        self.tell: Told = lambda *_: None
        self._dice = random.Random(name)
        self._due = 0.0
        self._runs = self._requests = 0

    # --- what happens to it ------------------------------------------------------------------

    def becomes(self, state: State, at: float, cause: str = "") -> None:
        """Come into a state."""
        before, self.state, self.since = self.state, state, at
        self.tell(
            EngineStateChanged(state=str(state), before=str(before), cause=cause, after_s=0.0),
            self.name,
            at,
        )

    def spawn(self, at: float) -> None:
        """Begin to load."""
        self._runs += 1
        self.started_at, self.page, self.hold, self.shortage = at, None, None, None
        run = EngineSpawned(pid=4000, shim_pid=3999, run_id=f"run-{self._runs}", command="vllm")
        self.tell(run, self.name, at)
        self.becomes(State.LOADING, at)

    def serve(self, at: float) -> None:
        """Serve from now on, with counters that begin anew."""
        self.page = Metrics(_args(self.model, self.name))
        self.becomes(State.READY, at)

    def sleep(self, at: float) -> None:
        """Be put to sleep: it serves nothing, and holds little."""
        self.becomes(State.SLEEPING, at)

    def end(self, at: float, cause: str, label: str = "1") -> None:
        """End unexpectedly, by what a log shows of that cause."""
        printed = (CAUSES / f"{cause}.log").read_text().splitlines()
        end = Exit(label, requested=False, at=at, run_id=f"run-{self._runs}")
        self.last_exit = end = exits.explain(end, printed)
        assert end.diagnosis is not None
        found = end.diagnosis
        self.exits[label, False] += 1
        self.causes[found.cause] += 1
        self.lines["error"] += 40
        self.restarts += 1
        self.requests_lost += self._running()
        self.page, self.started_at = None, None
        self.tell(
            EngineExited(
                code=label,
                requested=False,
                text="",
                run_id=end.run_id,
                cause=found.cause,
                phase=None,
                killed=(),
                incident=None,
                last_line=printed[-1],
            ),
            self.name,
            at,
        )
        self.becomes(State.BACKOFF, at)

    def held(self, at: float) -> None:
        """Wait for an operator."""
        assert self.last_exit is not None
        assert self.last_exit.diagnosis is not None
        cause = self.last_exit.diagnosis.cause
        self.hold = Hold(cause, "it ended the same way each time", at, None, "hash")
        told = EngineHeld(cause=cause, reason=self.hold.reason, retry_at=None)
        self.tell(told, self.name, at)
        self.becomes(State.HELD, at)

    def counted_anew(self) -> None:
        """Be seen by a daemon that has counted nothing of it yet."""
        self.exits.clear()
        self.causes.clear()
        self.lines = dict.fromkeys(self.lines, 0)
        self.restarts = self.requests_lost = 0

    # --- what is seen of it ------------------------------------------------------------------

    @property
    def serves(self) -> bool:
        """Whether requests get answers."""
        return self.state is State.READY and self.page is not None

    @property
    def computes(self) -> bool:
        """Whether it has work."""
        return self.serves and self.load.requests_per_s > 0

    def pass_time(self, now: float, seconds: float) -> list[RequestSpan]:
        """Do what is asked of it; return the spans of what has finished."""
        self.cpu_s += seconds * (1.4 if self.computes else 0.05)
        self.lines["info"] += round(seconds * (0.4 if self.page else 0.1))
        page, load = self.page, self.load
        if page is None or self.state is not State.READY:
            return []
        self._gauges(page, load)
        swell = 1 + 0.25 * math.sin(now / 400)
        self._due += seconds * load.requests_per_s * swell
        count, self._due = int(self._due), self._due % 1
        spans = [self._answer(page, load, now) for _ in range(count)]
        if load.preemptions_per_s:
            page.of("vllm:num_preemptions_total").inc(load.preemptions_per_s * seconds)
        return [span for span in spans if span is not None]

    def _running(self) -> int:
        took_s = self.load.first_token_s + self.load.answer_tokens * self.load.between_s
        return round(self.load.requests_per_s * took_s) if self.serves else 0

    def _gauges(self, page: Metrics, load: Load) -> None:
        wobble = self._dice.uniform(0.8, 1.2)
        page.of("vllm:num_requests_running").set(round(self._running() * wobble))
        waiting = round(load.waiting * wobble)
        page.of("vllm:num_requests_waiting").set(waiting)
        page.of("vllm:num_requests_waiting_by_reason", reason="capacity").set(waiting)
        used = load.kv_usage * (wobble if load.kv_usage < 0.8 else 1) if load.requests_per_s else 0
        if self.adapters:
            page.lora(",".join(self.adapters), "")
        page.of("vllm:kv_cache_usage_perc").set(min(1.0, used))

    def _answer(self, page: Metrics, load: Load, now: float) -> RequestSpan | None:
        dice = self._dice
        path = "/v1/chat/completions"
        drawn = dice.random()
        if drawn < load.failing_share + load.missing_share:
            page.handled(path, 500 if drawn < load.failing_share else 404, 0.01, (800, 90))
            return None
        queue = load.queue_s * dice.uniform(0.6, 1.4)
        late = 10 if dice.random() < load.late_share else 1
        prefill = load.first_token_s * dice.lognormvariate(0, 0.35) * late
        tokens = max(2, round(load.answer_tokens * dice.uniform(0.3, 1.7)))
        between = load.between_s * dice.lognormvariate(0, 0.15)
        decode = (tokens - 1) * between
        prompt = round(load.prompt_tokens * dice.uniform(0.4, 1.6))
        for name, value in (
            ("time_to_first_token_seconds", queue + prefill),
            ("e2e_request_latency_seconds", queue + prefill + decode),
            ("request_queue_time_seconds", queue),
            ("request_prefill_time_seconds", prefill),
            ("request_decode_time_seconds", decode),
            ("inter_token_latency_seconds", between),
        ):
            page.of(f"vllm:{name}").observe(value)
        page.of("vllm:request_success_total", finished_reason="stop").inc()
        page.of("vllm:prompt_tokens_total").inc(prompt)
        page.of("vllm:generation_tokens_total").inc(tokens)
        page.of("vllm:prefix_cache_queries_total").inc(prompt)
        page.of("vllm:prefix_cache_hits_total").inc(round(prompt * load.cached_share))
        page.of("vllm:prompt_tokens_cached_total").inc(round(prompt * load.cached_share))
        page.handled(path, 200, queue + prefill + decode, (800, 3000))
        return self._span(now, queue, prefill, decode, prompt, tokens)

    def _span(self, now: float, *measured: float) -> RequestSpan:
        queue, prefill, decode, prompt, tokens = measured
        self._requests += 1
        number = self._requests.to_bytes(8, "big")
        return RequestSpan(
            trace_id=self.name.encode().ljust(8, b"\0")[:8] + number,
            span_id=number,
            start_ns=int(now * 1e9),
            request_id=f"{self.name}-{self._requests}",
            claimed=self._dice.choice((self.name, *self.adapters)),
            time_to_first_token=queue + prefill,
            queue=queue,
            prefill=prefill,
            decode=decode,
            e2e=queue + prefill + decode,
            prompt_tokens=prompt,
            completion_tokens=tokens,
            n=1.0,
        )

    def status(self, now: float) -> EngineStatus:
        """Return what vllmd knows of it."""
        alive = self.started_at is not None
        age_s = now - self.started_at if self.started_at is not None else 0.0
        asleep = self.state is State.SLEEPING
        running = waiting = None
        if self.serves:
            running, waiting = int(self.computes), self.load.waiting
        return EngineStatus(
            name=self.name,
            state=self.state,
            since=self.since,
            wanted=self.wanted,
            model=self.model,
            served_names=(self.name,),
            url="http://127.0.0.1:8000",
            log=f"/var/log/vllmd/{self.name}.log",
            phases=_phases(age_s) if alive else {},
            start_duration_s=sum(PHASES.values()) if self.page is not None else None,
            sizes={
                "weights": 66 * GIB,
                "kv_cache": 48 * GIB,
                "graphs": GIB,
                "kv_cache_tokens": 196608,
            },
            max_num_seqs=256,
            requests_running=running,
            requests_waiting=waiting,
            pid=4000 if alive else None,
            shim_pid=3999 if alive else None,
            run_id=f"run-{self._runs}" if alive else None,
            started_at=self.started_at,
            uptime_s=age_s if alive else None,
            restarts=self.restarts,
            requests_lost=self.requests_lost,
            exits=dict(self.exits),
            causes=dict(self.causes),
            last_exit=self.last_exit,
            hold=self.hold,
            awaited_memory=self.shortage,
            sleep=SleepStatus(1, self.since, "the schedule", settled=True) if asleep else None,
            weights=WeightsStatus(self.weights, now - 7000, "", 1) if self.weights else None,
        )

    def output(self, now: float) -> OutputFigures:
        """Return what is known of its log."""
        size = {level: 110 * count for level, count in self.lines.items()}
        return OutputFigures(
            self.name, dict(self.lines), size, 40_000_000, 536_870_912, now - 2, 0, 0, 1, None, 0
        )

    def samples(self) -> Iterator[bytes]:
        """Yield the samples of its vLLM's page, and of what vllmd derives from it."""
        if self.page is None or self.state is not State.READY:
            return
        registry: Any = self.page.registry.restricted_registry(SHOWN)
        page = parse_page(generate_latest(registry), self.name)
        for family in (*page.families, *derive(page.families, page.lora, self.name, self.adapters)):
            yield from family.samples


def _phases(age_s: float) -> dict[str, float]:
    found, left = {}, age_s
    for phase, seconds in PHASES.items():
        if left > 0:
            found[phase] = min(left, seconds)
        left -= seconds
    return found


def _args(model: str, name: str) -> Args:
    values: dict[str, Any] = {field.name: None for field in attrs.fields(Args)}
    known = {"model": model, "served_names": (name,), "max_loras": 4, "data_ranks": 1}
    return Args(**{**values, **known})
