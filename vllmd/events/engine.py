"""The events of engines: their states, starts and ends, and what was seen of them."""

import attrs

from vllmd.events.base import TypedEvent, omitted


@attrs.frozen(kw_only=True)
class EngineStateChanged(TypedEvent):
    """An engine came into another state."""

    name = "engine.state_changed"

    state: str
    before: str
    cause: str
    after_s: float


@attrs.frozen(kw_only=True)
class EngineSpawned(TypedEvent):
    """An engine was started."""

    name = "engine.spawned"

    pid: int
    shim_pid: int
    run_id: str
    command: str


@attrs.frozen(kw_only=True)
class EngineAdopted(TypedEvent):
    """An engine that an earlier daemon started was found running."""

    name = "engine.adopted"

    pid: int
    shim_pid: int
    run_id: str
    command_changed: bool


@attrs.frozen(kw_only=True)
class EngineExited(TypedEvent):
    """A run ended; `requested` if somebody asked for it, and then it is no error."""

    name = "engine.exited"
    level = "error"

    code: str
    requested: bool
    text: str
    run_id: str
    cause: str | None = omitted(None)
    kind: str | None = omitted(None)
    explanation: str | None = omitted(None)
    advice: str | None = omitted(None)
    evidence: tuple[str, ...] | None = omitted(None)
    phase: str | None
    killed: tuple[str, ...]
    incident: str | None
    last_line: str | None


@attrs.frozen(kw_only=True)
class EngineBackoffStarted(TypedEvent):
    """An engine that failed is started again after a pause."""

    name = "engine.backoff_started"

    pause_s: float
    failures: int


@attrs.frozen(kw_only=True)
class EngineHeld(TypedEvent):
    """An engine is not started until something changes, or until `retry_at`."""

    name = "engine.held"
    level = "error"

    cause: str
    reason: str
    retry_at: float | None


@attrs.frozen(kw_only=True)
class EngineReleased(TypedEvent):
    """A hold ended."""

    name = "engine.released"

    why: str
    cause: str


@attrs.frozen(kw_only=True)
class EngineRoomAwaited(TypedEvent):
    """An engine is not started yet: too little memory of a GPU is free; `holders` have it."""

    name = "engine.room_awaited"
    level = "warning"

    gpu: str
    missing_bytes: int
    holders: tuple[str, ...]
    sure: bool
    text: str


@attrs.frozen(kw_only=True)
class EngineRoomWaitEnded(TypedEvent):
    """An engine waits no more for memory of a GPU."""

    name = "engine.room_wait_ended"

    why: str
    after_s: float


@attrs.frozen(kw_only=True)
class EngineStalled(TypedEvent):
    """An engine makes no progress; `acted` if it is to be killed for that."""

    name = "engine.stalled"
    level = "error"

    reason: str
    incident: str | None
    acted: bool
    consequence: str


@attrs.frozen(kw_only=True)
class EngineCleared(TypedEvent):
    """A fresh look did not confirm that an engine stands still."""

    name = "engine.cleared"

    doubt: str
    answer: str


@attrs.frozen(kw_only=True)
class EngineProgressed(TypedEvent):
    """A stalled engine gets on again."""

    name = "engine.progressed"

    verdict: str


@attrs.frozen(kw_only=True)
class EngineDrained(TypedEvent):
    """An engine that is to end has no requests left, or was given enough time."""

    name = "engine.drained"

    requests_before: int | None
    requests_left: int | None
    after_s: float


@attrs.frozen(kw_only=True)
class EngineEndProven(TypedEvent):
    """It was looked for what a run left behind, and what is in the way of the next."""

    name = "engine.end_proven"

    after_s: float
    in_the_way: tuple[str, ...]


@attrs.frozen(kw_only=True)
class EngineLeftoversRemoved(TypedEvent):
    """What a run left behind was removed."""

    name = "engine.leftovers_removed"

    paths: tuple[str, ...]


@attrs.frozen(kw_only=True)
class EngineCacheMoved(TypedEvent):
    """The compile cache of vLLM was set aside; nowhere, if it could not be."""

    name = "engine.cache_moved"
    level = "warning"

    to: str | None


@attrs.frozen(kw_only=True)
class EngineProblemFound(TypedEvent):
    """There is something that a person has to know or do."""

    name = "engine.problem_found"
    level = "warning"

    problem: str


@attrs.frozen(kw_only=True)
class EngineDoubted(TypedEvent):
    """The doctor, or what it printed (`output`), shows something in an engine that is starting."""

    name = "engine.doubted"
    level = "warning"

    check: str
    severity: str
    found: str
    fix: str
    evidence: tuple[str, ...] | None = omitted(None)


@attrs.frozen(kw_only=True)
class EngineNotExamined(TypedEvent):
    """The doctor could not look at an engine that is starting."""

    name = "engine.not_examined"
    level = "warning"

    problem: str


@attrs.frozen(kw_only=True)
class EnginePhaseReached(TypedEvent):
    """A loading engine has come further."""

    name = "engine.phase_reached"

    phase: str
    left_s: float | None
    ago_s: float = omitted(0.0)
    """How long before it was known, in seconds."""


@attrs.frozen(kw_only=True)
class EngineOrphansKilled(TypedEvent):
    """Processes without a shim were ended."""

    name = "engine.orphans_killed"
    level = "warning"

    killed: tuple[str, ...]


@attrs.frozen(kw_only=True)
class EngineUnconfigured(TypedEvent):
    """An engine runs that is in no configuration."""

    name = "engine.unconfigured"
    level = "warning"

    shim_pid: int
    advice: str


@attrs.frozen(kw_only=True)
class ShimLost(TypedEvent):
    """The shim of an engine was killed."""

    name = "shim.lost"
    level = "error"

    shim_pid: int
    run_id: str


@attrs.frozen(kw_only=True)
class IncidentFailed(TypedEvent):
    """What could be seen of a failure was not written down."""

    name = "incident.failed"
    level = "error"

    problem: str


@attrs.frozen(kw_only=True)
class LogNotCompressed(TypedEvent):
    """A log that was rotated stays as large as it is."""

    name = "log.not_compressed"
    level = "error"

    problem: str


@attrs.frozen(kw_only=True)
class EngineSlept(TypedEvent):
    """An engine fell asleep. `problem` is told where its GPU memory did not come back."""

    name = "engine.slept"

    by: str
    sleep_level: int
    after_s: float
    held_before_bytes: int | None
    held_bytes: int | None
    problem: str | None = omitted(None)


@attrs.frozen(kw_only=True)
class EngineWoke(TypedEvent):
    """An engine that slept serves again."""

    name = "engine.woke"

    by: str
    sleep_level: int
    after_s: float
    asleep_s: float


@attrs.frozen(kw_only=True)
class EngineSleepRefused(TypedEvent):
    """An engine was to sleep, or to be woken, and is as it was."""

    name = "engine.sleep_refused"
    level = "warning"

    wanted: str
    by: str
    reason: str
