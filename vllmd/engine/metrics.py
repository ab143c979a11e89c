"""The engines: up or not, in which state, how often restarted, how ended, at what cost."""

import functools
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.engine.doubts import Doubts
from vllmd.engine.group_interface import UNREACHABLE, UNREADABLE
from vllmd.engine.loading.memory_sizes import BYTES, KV_TOKENS
from vllmd.engine.process_tree import listed
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.engine.usage import TreeUsage
from vllmd.engine.weights.state import WeightsState
from vllmd.util.clock import Clock

LABEL = "vllmd_engine"


def _gauge(name: str, text: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"vllmd_engine_{name}", text, labels=[LABEL, *labels])


def _counter(name: str, text: str, labels: Sequence[str] = ()) -> CounterMetricFamily:
    return CounterMetricFamily(f"vllmd_engine_{name}", text, labels=[LABEL, *labels])


class EnginesCollector:
    """States and counts of every configured engine."""

    name = "engines"

    def __init__(
        self,
        engines: Callable[[], Sequence[EngineStatus]],
        clock: Clock,
        version: Callable[[str], str | None] = lambda _: None,
        fleet: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Make it; `version` returns which vLLM answers for an engine, `fleet` the fleet's name."""
        self._engines = engines
        self._clock = clock
        self._version = version
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """Yield one family after another, each with all engines."""
        engines = self._engines()
        now = self._clock.time()
        yield from self._states(engines)
        yield self._info(engines)
        restarts = _counter("restarts_total", "Starts after an unexpected exit.")
        exits = _counter(
            "exits_total",
            "Exits of the engine, by exit code or signal and whether they were requested.",
            ["code", "requested"],
        )
        lost = CounterMetricFamily(
            "vllmd_requests_lost_total",
            "Requests in flight, running or waiting, when the engine ended unexpectedly.",
            labels=[LABEL],
        )
        duration = _gauge(
            "start_duration_seconds",
            "How long the last start took until the API answered, in seconds.",
        )
        uptime = _gauge("uptime_seconds", "How long the engine's process has run, in seconds.")
        for engine in engines:
            restarts.add_metric([engine.name], engine.restarts)
            for (code, requested), count in sorted(engine.exits.items()):
                exits.add_metric([engine.name, code, str(requested).lower()], count)
            lost.add_metric([engine.name], engine.requests_lost)
            if engine.start_duration_s is not None:
                duration.add_metric([engine.name], engine.start_duration_s)
            if engine.uptime_s is not None:
                uptime.add_metric([engine.name], engine.uptime_s)
        yield from (restarts, exits, lost, duration, uptime)
        yield from self._failures(engines, now)
        yield from self._loads(engines)

    def _info(self, engines: Sequence[EngineStatus]) -> Metric:
        info = _gauge(
            "info",
            "Always 1; the labels say what the engine serves, by which version of vLLM (empty: not "
            "known yet), by which command (the same on hosts that are alike), in which fleet, and "
            "of one over several hosts which group it is, by engine and head, and whether this "
            "host is its head or a member.",
            ["model", "version", "command_hash", "fleet", "group", "role"],
        )
        fleet = self._fleet() or ""
        for engine in engines:
            version = self._version(engine.name) or ""
            labels = [engine.name, engine.model, version, engine.fingerprint, fleet]
            part = engine.group
            info.add_metric([*labels, *((part.name, part.role) if part else ("", ""))], 1)
        return info

    @staticmethod
    def _failures(engines: Sequence[EngineStatus], now: float) -> Iterator[Metric]:
        failures = _counter("failures_total", "Unexpected exits, by cause.", ["cause"])
        transitions = _counter(
            "transitions_total",
            "Changes of the engine's state, by what happened and where it led.",
            ["event", "state"],
        )
        info = GaugeMetricFamily(
            "vllmd_engine_failure_info",
            "1 for the last exit, if it was unexpected, with the cause that 'vllmd why' names.",
            labels=[LABEL, "cause", "kind", "explanation", "advice"],
        )
        failed_at = GaugeMetricFamily(
            "vllmd_engine_failure_timestamp_seconds",
            "When the last exit was, if it was unexpected, Unix time; with its cause in words.",
            labels=[LABEL, "cause", "explanation"],
        )
        hold = _gauge(
            "hold_seconds", "How long the engine has been held, in seconds, by cause.", ["cause"]
        )
        missing = _gauge(
            "awaited_memory_bytes",
            "GPU memory in bytes that the engine waits for before it starts; `holder` has most.",
            ["gpu", "holder"],
        )
        turn = _gauge(
            "awaited_load_info",
            "1 while the engine waits until `other` has loaded, with which it shares a GPU.",
            ["other"],
        )
        for engine in engines:
            for cause, count in sorted(engine.causes.items()):
                failures.add_metric([engine.name, cause], count)
            for (event, state), count in sorted(engine.transitions.items()):
                transitions.add_metric([engine.name, str(event), str(state)], count)
            if engine.last_exit is not None and (found := engine.last_exit.diagnosis):
                words = [found.cause, str(found.kind), found.explanation, found.advice]
                info.add_metric([engine.name, *words], 1)
                about = [engine.name, found.cause, found.explanation]
                failed_at.add_metric(about, engine.last_exit.at)
            if engine.hold is not None:
                hold.add_metric([engine.name, engine.hold.cause], max(0.0, now - engine.hold.since))
            if (awaited := engine.awaited_memory) is not None:
                holder = awaited.holders[0] if awaited.holders else ""
                words = [awaited.gpu, holder.rpartition(": ")[0] or holder]
                missing.add_metric([engine.name, *words], awaited.missing_bytes)
            if engine.awaited_load is not None:
                turn.add_metric([engine.name, engine.awaited_load], 1)
        yield from (failures, transitions, info, failed_at, hold, missing, turn)

    @staticmethod
    def _loads(engines: Sequence[EngineStatus]) -> Iterator[Metric]:
        phases = _gauge(
            "start_phase_seconds",
            "How long each phase of the last start took, or has taken so far, in seconds.",
            ["phase"],
        )
        left = _gauge(
            "start_remaining_seconds",
            "How long a load still takes, as earlier ones of this command did, in seconds.",
        )
        kept = _gauge(
            "weights_ready",
            "Whether the engine's weights are kept in GPU memory (preload), so that a start maps "
            "them; absent without preload.",
        )
        weights = _gauge(
            "weights_state", "1 for the state of the weights that preload keeps.", ["state"]
        )
        for engine in engines:
            if engine.weights is not None:
                kept.add_metric([engine.name], engine.weights.state is WeightsState.READY)
                for state in WeightsState:
                    weights.add_metric([engine.name, str(state)], engine.weights.state is state)
            for phase, seconds in engine.phases.items():
                phases.add_metric([engine.name, phase], seconds)
            if engine.start_left_s is not None:
                left.add_metric([engine.name], engine.start_left_s)
        yield from (phases, left, kept, weights)
        yield from EnginesCollector._sizes(engines)

    @staticmethod
    def _sizes(engines: Sequence[EngineStatus]) -> Iterator[Metric]:
        sizes = _gauge(
            "gpu_memory_bytes",
            "What the engine said that it takes on each GPU, in bytes, by component.",
            ["component"],
        )
        tokens = _gauge("kv_cache_tokens", "Tokens that the KV cache has room for.")
        limit = _gauge("max_num_seqs", "Requests that may be computed at once, as configured.")
        for engine in engines:
            for component in BYTES:
                if component in engine.sizes:
                    sizes.add_metric([engine.name, component], engine.sizes[component])
            if KV_TOKENS in engine.sizes:
                tokens.add_metric([engine.name], engine.sizes[KV_TOKENS])
            if engine.max_num_seqs is not None:
                limit.add_metric([engine.name], engine.max_num_seqs)
        yield from (sizes, tokens, limit)

    @staticmethod
    def _states(engines: Sequence[EngineStatus]) -> Iterator[Metric]:
        up = _gauge("up", "Whether the engine serves requests.")
        takes = _gauge(
            "takes_requests",
            "Whether requests are to come, as /ready says: it serves, and not wrongly.",
        )
        state = _gauge("state", "1 for the state that the engine is in.", ["state"])
        since = _gauge(
            "state_change_timestamp_seconds", "When the engine came into its state, Unix time."
        )
        busy = _gauge("busy", "Whether requests are in flight.")
        wanted = _gauge("wanted", "Whether the engine is meant to run.")
        adopted = _gauge("adopted", "Whether the engine was started by an earlier daemon.")
        changed = _gauge(
            "command_changed",
            "Whether the configuration now asks for another command than the one that runs.",
        )
        for engine in engines:
            up.add_metric([engine.name], engine.up)
            takes.add_metric([engine.name], engine.takes_requests)
            if engine.looked_for:  # or it would be said to be stopped
                for each in State:
                    state.add_metric([engine.name, str(each)], each is engine.state)
                since.add_metric([engine.name], engine.since)
            busy.add_metric([engine.name], engine.busy)
            wanted.add_metric([engine.name], engine.wanted)
            adopted.add_metric([engine.name], engine.adopted)
            changed.add_metric([engine.name], engine.command_changed)
        yield from (up, takes, state, since, busy, wanted, adopted, changed)
        yield from EnginesCollector._sleep(engines)
        yield from EnginesCollector._groups(engines)

    @staticmethod
    def _groups(engines: Sequence[EngineStatus]) -> Iterator[Metric]:
        hosts = GaugeMetricFamily(
            "vllmd_group_members",
            "Hosts of the engine's group by the state of their part, as the head hears it; "
            "'unreachable' where a vllmd does not answer, 'unreadable' where its page is no use.",
            labels=[LABEL, "state"],
        )
        awaited = GaugeMetricFamily(
            "vllmd_group_awaited_host_info",
            "1 for the host without which the engine's group does not serve, with the state of its "
            "part: a start waits for it, or no new request is taken.",
            labels=[LABEL, "group", "role", "host", "state"],
        )
        for engine in engines:
            if (group := engine.group) is None:
                continue
            if (of := group.awaited) is not None:
                awaited.add_metric([engine.name, group.name, group.role, of.host, of.state], 1)
            if group.rank:
                continue
            states = [*group.hosts.values()]
            for each in sorted({*states, str(State.READY), UNREACHABLE, UNREADABLE}):
                hosts.add_metric([engine.name, each], states.count(each))
        yield from (hosts, awaited)

    @staticmethod
    def _sleep(engines: Sequence[EngineStatus]) -> Iterator[Metric]:
        level = _gauge(
            "sleep_level",
            "At which level the engine sleeps: 1 keeps its weights in the host's memory, 2 drops "
            "them; 0 if it is awake. Absent without sleep mode.",
        )
        since = _gauge("sleep_start_timestamp_seconds", "When it fell asleep, Unix time.")
        memory = _gauge(
            "sleep_gpu_memory_bytes",
            "GPU memory that an engine that sleeps still holds, and that it freed, in bytes.",
            ["kind"],
        )
        turn = _gauge(
            "awaited_turn_info",
            "1 while the engine waits until `other` sleeps, with which it takes turns on a GPU.",
            ["other"],
        )
        for engine in engines:
            if (sleep := engine.sleep) is None:
                continue
            level.add_metric([engine.name], sleep.level if sleep.asleep_at is not None else 0)
            if sleep.asleep_at is not None:
                since.add_metric([engine.name], sleep.asleep_at)
            for kind, size in (("held", sleep.held_bytes), ("freed", sleep.freed_bytes)):
                if size is not None:
                    memory.add_metric([engine.name, kind], size)
            if sleep.turn_of is not None:
                turn.add_metric([engine.name, sleep.turn_of], 1)
        yield from (level, since, memory, turn)


class DoubtsCollector:
    """What was found about starts that are under way."""

    name = "doubts"

    def __init__(self, engines: Callable[[], Sequence[EngineStatus]], doubts: Doubts) -> None:
        self._engines = engines
        self._doubts = doubts

    def collect(self) -> Iterator[Metric]:
        """Yield one sample for each finding, until the start is over."""
        info = GaugeMetricFamily(
            "vllmd_engine_doubt_info",
            "1 for what says that a start that is under way will fail or disappoint.",
            labels=[LABEL, "check", "severity", "found", "fix"],
        )
        for engine in self._engines():
            for doubt in self._doubts.of(engine):
                words = [doubt.check, doubt.severity, doubt.found, doubt.fix]
                info.add_metric([engine.name, *words], 1)
        yield info


class UsageCollector:
    """CPU time and memory of each engine's whole tree of processes."""

    name = "usage"

    def __init__(self, engines: Callable[[], Sequence[EngineStatus]], clock: Clock) -> None:
        self._engines = engines
        self._clock = clock
        self._trees: dict[str, TreeUsage] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield CPU seconds, resident bytes and number of processes."""
        cpu = _counter("cpu_seconds_total", "CPU time of the engine's processes, in seconds.")
        memory = _gauge(
            "memory_resident_bytes", "Resident memory of the engine's processes, summed, in bytes."
        )
        processes = _gauge("processes", "Processes of the engine.")
        listing, engines = functools.cache(listed), self._engines()
        for name in self._trees.keys() - {engine.name for engine in engines}:
            del self._trees[name]
        for engine in engines:
            if engine.run_id is None or engine.shim_pid is None:
                continue
            tree = self._trees.setdefault(engine.name, TreeUsage(self._clock))
            usage = tree.read(engine.run_id, engine.shim_pid, listing)
            if usage is not None:
                cpu.add_metric([engine.name], usage.cpu_s)
                memory.add_metric([engine.name], usage.resident_bytes)
                processes.add_metric([engine.name], usage.processes)
        yield from (cpu, memory, processes)
