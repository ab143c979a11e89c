"""An engine as everybody else sees it: one frozen snapshot."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.engine import exits
from vllmd.engine.assembly import EngineSettings
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.group_interface import GroupStatus
from vllmd.engine.restart.policy import Hold
from vllmd.engine.sleeping.status import SleepStatus
from vllmd.engine.state_machine import State, Trigger
from vllmd.engine.status_text import describe_state
from vllmd.engine.weights.state import WeightsStatus
from vllmd.shim import proc
from vllmd.shim.protocol import RunRecord

NOT_SHOWN = ("transitions", "uptime_s", "fingerprint", "probes", "is_over")
"""What others of the daemon see and nobody else."""


@attrs.frozen
class EngineStatus:
    """All that is known of one engine now. Times are seconds since the epoch."""

    name: str
    state: State
    since: float
    wanted: bool
    model: str
    served_names: tuple[str, ...]
    url: str
    log: str
    phase: str | None = None
    phases: Mapping[str, float] = attrs.field(factory=lambda: MappingProxyType({}))
    """Seconds that each phase of this start took, or has taken so far; empty if it was not seen."""
    start_left_s: float | None = None
    """How long a load still takes, by earlier ones of this command; None if there was none."""
    sizes: Mapping[str, int] = attrs.field(factory=lambda: MappingProxyType({}))
    """What it said of the memory it takes on each GPU, in bytes: weights, kv_cache, graphs; and
    kv_cache_tokens."""
    max_num_seqs: int | None = None
    """As configured; None if it is vLLM's own."""
    requests_running: int | None = None
    """As the engine's page showed it; None if nothing is known."""
    requests_waiting: int | None = None
    no_step_s: float | None = None
    """For how long requests run without a step; None if that is not worth a word."""
    rank_doubt: str | None = None
    """Which data parallel rank of this host does nothing with what it was asked, in words; it may
    be busy. None if there is none."""
    pid: int | None = None
    shim_pid: int | None = None
    run_id: str | None = None
    started_at: float | None = None
    start_duration_s: float | None = None
    adopted: bool = False
    command_hash: str | None = None
    """The fingerprint of the command that runs; None if nothing does."""
    command_changed: bool = False
    fingerprint: str = ""
    """Of the command that is configured: the same on hosts whose engines are to be alike."""
    restarts: int = 0
    exits: Mapping[tuple[str, bool], int] = attrs.field(factory=lambda: MappingProxyType({}))
    causes: Mapping[str, int] = attrs.field(factory=lambda: MappingProxyType({}))
    """Ends that nobody asked for, by their cause."""
    requests_lost: int = 0
    """Requests that were in flight at such ends, as the page showed them last."""
    transitions: Mapping[tuple[Trigger, State], int] = attrs.field(
        factory=lambda: MappingProxyType({})
    )
    last_exit: Exit | None = None
    first_failure: Exit | None = None
    """The first of the failures that led here; it may be the last one too."""
    hold: Hold | None = None
    awaited_memory: Shortage | None = None
    """What is missing for its start; None if it does not wait for that."""
    awaited_load: str | None = None
    """The engine that loads first, as it shares a GPU; None if none is waited for."""
    next_start_at: float | None = None
    problem: str | None = None
    uptime_s: float | None = None
    """How long its process has run; None if none does."""
    weights: WeightsStatus | None = None
    """What is kept of its weights in GPU memory; None if none are kept, nor to be."""
    sleep: SleepStatus | None = None
    """How its sleep stands; None if it has no sleep mode, and does not sleep."""
    group: GroupStatus | None = None
    """How the hosts that serve its model together stand; None if it is of one host."""
    wrong_answers: str | None = None
    """Why it is to take no requests, although it serves: what a probe found."""
    probes: int = 0
    """How often a probe began or ended; odd while one is in flight."""
    is_over: bool = False
    """Whether its run has ended, and it is still looked into why."""
    looked_for: bool = True
    """Whether the daemon has looked for it; until then its state is not known."""

    @property
    def busy(self) -> bool:
        """Whether requests are in flight."""
        return bool(self.requests_running or self.requests_waiting)

    @property
    def is_idle(self) -> bool:
        """Whether it serves, and no request is in flight by its page."""
        return self.up and self.requests_running == self.requests_waiting == 0

    @property
    def takes_requests(self) -> bool:
        """Whether requests are to come: it serves, and its answers are not known to be wrong."""
        return self.up and self.wrong_answers is None

    @property
    def up(self) -> bool:
        """Whether requests are being served."""
        red = self.group is not None and self.group.red is not None
        is_there = self.looked_for and not self.is_over
        return self.state is State.READY and is_there and not red

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as `vllmd status --json` prints it."""
        fields = attrs.asdict(self, recurse=False)
        fields["state"] = str(self.state)
        fields["up"] = self.up
        fields["busy"] = self.busy
        fields["phases"] = dict(self.phases)
        fields["sizes"] = dict(self.sizes)
        fields["causes"] = dict(self.causes)
        fields["awaited_memory"] = (
            attrs.asdict(self.awaited_memory) if self.awaited_memory else None
        )
        fields["weights"] = self.weights.to_json() if self.weights else None
        fields["group"] = self.group.to_json() if self.group else None
        fields["sleep"] = self.sleep.to_json() if self.sleep else None
        for name in NOT_SHOWN:
            del fields[name]
        fields["hold"] = self.hold.to_json() if self.hold else None
        fields["served_names"] = list(self.served_names)
        fields["exits"] = [
            {"code": code, "requested": requested, "count": count}
            for (code, requested), count in self.exits.items()
        ]
        fields["last_exit"] = exits.to_json(self.last_exit)
        fields["first_failure"] = exits.to_json(self.first_failure)
        return fields


def _of_run(run: RunRecord | None) -> dict[str, Any]:
    if run is None:
        return {}
    return {
        "pid": run["engine_pid"],
        "shim_pid": run["shim_pid"],
        "run_id": run["run_id"],
        "command_hash": run["command_hash"],
        "started_at": run["started_at"],
        "uptime_s": proc.age_s(run["engine_start_ticks"]),
    }


def status_of(
    settings: EngineSettings,
    engine_state: EngineState,
    run: RunRecord | None,
    *,
    wanted: bool,
    adopted: bool,
    awaited_load: str | None,
    next_start_at: float | None,
    looked_for: bool,
    weights: WeightsStatus | None,
    sleep: SleepStatus | None,
) -> EngineStatus:
    """Return what is known of an engine now; `run` is what its shim says of it, if one runs."""
    engine_state.follow_clock()
    engine, known, phases = settings.engine, engine_state.known, engine_state.phase_durations()
    loading = engine_state.state is State.LOADING
    return EngineStatus(
        name=engine.name,
        state=engine_state.state,
        since=engine_state.since,
        wanted=wanted,
        model=engine.model,
        served_names=engine.served_names,
        url=engine.url,
        log=str(settings.context.log_path),
        phase=engine_state.phase if loading else None,
        phases=MappingProxyType(phases),
        start_left_s=engine_state.start_left_s() if loading else None,
        sizes=MappingProxyType(dict(engine_state.sizes)),
        max_num_seqs=engine.max_num_seqs,
        requests_running=engine_state.requests[0] if engine_state.requests else None,
        requests_waiting=engine_state.requests[1] if engine_state.requests else None,
        no_step_s=engine_state.no_step_s,
        rank_doubt=engine_state.rank_doubt,
        **_of_run(run),
        start_duration_s=engine_state.start_duration_s,
        adopted=adopted,
        command_changed=bool(run and run["command_hash"] != settings.command.hash),
        fingerprint=settings.command.fingerprint,
        restarts=known.restarts,
        exits=MappingProxyType(dict(known.exits)),
        causes=MappingProxyType(dict(known.causes)),
        requests_lost=known.requests_lost,
        transitions=MappingProxyType(dict(known.transitions)),
        last_exit=known.last_exit,
        first_failure=known.first_failure,
        hold=known.hold,
        awaited_memory=engine_state.awaited_memory,
        awaited_load=awaited_load,
        next_start_at=next_start_at,
        problem=engine_state.problem or settings.start_nothing,
        wrong_answers=engine_state.answers.wrong,
        probes=engine_state.answers.marks,
        is_over=engine_state.is_over,
        looked_for=looked_for,
        weights=weights,
        sleep=sleep,
        group=settings.context.group.status(str(engine_state.state)),
    )


def summary(engines: Sequence[EngineStatus]) -> str:
    """Say in one line what the engines do."""
    if not engines:
        return "no engine is configured"
    return ", ".join(f"{engine.name}: {_briefly(engine)}" for engine in engines)


def _briefly(engine: EngineStatus) -> str:
    """Say the state; what comes and goes with each request is left out."""
    return str(engine.state) if engine.up else describe_state(engine.to_json())
