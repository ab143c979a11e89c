"""The events of weights that are kept in GPU memory beside an engine."""

import attrs

from vllmd.events.base import TypedEvent, omitted


@attrs.frozen(kw_only=True)
class WeightsSpawned(TypedEvent):
    """The processes that keep an engine's weights were started."""

    name = "weights.spawned"

    pid: int
    shim_pid: int
    run_id: str
    command: str


@attrs.frozen(kw_only=True)
class WeightsAdopted(TypedEvent):
    """Weights that an earlier daemon had loaded were found in memory."""

    name = "weights.adopted"

    pid: int
    shim_pid: int
    run_id: str


@attrs.frozen(kw_only=True)
class WeightsReady(TypedEvent):
    """Weights are in GPU memory: an engine that starts maps them."""

    name = "weights.ready"

    ranks: int
    after_s: float


@attrs.frozen(kw_only=True)
class WeightsEnded(TypedEvent):
    """What kept an engine's weights ended, which ends no engine; `requested` if vllmd did that."""

    name = "weights.ended"
    level = "error"

    code: str
    requested: bool
    text: str
    run_id: str
    cause: str | None = omitted(None)
    explanation: str | None = omitted(None)
    advice: str | None = omitted(None)
    evidence: tuple[str, ...] | None = omitted(None)
    last_line: str | None


@attrs.frozen(kw_only=True)
class WeightsRankLost(TypedEvent):
    """Weights of some GPUs are handed out no more; those of the others are."""

    name = "weights.rank_lost"
    level = "error"

    ranks: int
    left: int
    consequence: str


@attrs.frozen(kw_only=True)
class WeightsRenewed(TypedEvent):
    """Weights that are kept are ended, to load those that an engine needs now."""

    name = "weights.renewed"

    why: str


@attrs.frozen(kw_only=True)
class WeightsNotLoaded(TypedEvent):
    """Weights could not be brought into memory ahead; the engine loads them itself."""

    name = "weights.not_loaded"
    level = "warning"

    problem: str


@attrs.frozen(kw_only=True)
class WeightsReleased(TypedEvent):
    """It was looked whether the GPU memory of weights came back, and what still holds some."""

    name = "weights.released"

    after_s: float
    in_the_way: tuple[str, ...]


@attrs.frozen(kw_only=True)
class WeightsUnresponsive(TypedEvent):
    """What keeps weights does not answer, or does not end: GPU memory may be held."""

    name = "weights.unresponsive"
    level = "error"

    shim_pid: int | None
    problem: str
    advice: str


@attrs.frozen(kw_only=True)
class WeightsUnconfigured(TypedEvent):
    """Weights are in GPU memory whose engine is in no configuration."""

    name = "weights.unconfigured"
    level = "warning"

    shim_pid: int
    run_id: str
    consequence: str
