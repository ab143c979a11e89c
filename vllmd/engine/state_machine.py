"""The states of an engine and every way from one to another. Pure: no I/O, no clock.

`docs/supervision.md` shows this table as a diagram; a test compares the two.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType


class State(enum.StrEnum):
    """What an engine is doing; a closed list. Alerts look at `vllmd_engine_up`, not at these."""

    STOPPED = "stopped"
    """Nothing of it runs: it was stopped, or was not started yet."""
    WAITING = "waiting"
    """Nothing of it runs: it is to start as soon as the other hosts of its group let it."""
    STARTING = "starting"
    """Its process is being made."""
    LOADING = "loading"
    """It runs, and its API does not answer yet; the phase says how far it has come."""
    READY = "ready"
    """It serves."""
    SLEEPING = "sleeping"
    """It was put to sleep, and serves nothing until it is woken."""
    STALLED = "stalled"
    """It has work and makes no progress."""
    UNREACHABLE = "unreachable"
    """Its API answered before, and does not now."""
    DRAINING = "draining"
    """It is to end or to sleep, takes no new requests, and finishes those in flight."""
    STOPPING = "stopping"
    """It was asked to end."""
    BACKOFF = "backoff"
    """It failed, and is started again after a pause."""
    HELD = "held"
    """It failed, and another start would fail too: it waits until something is fixed."""


class Trigger(enum.StrEnum):
    """What can happen to an engine."""

    START = "start"
    """Somebody or something wants it to run."""
    WAIT = "wait"
    """It is to run, and has to wait for the other hosts of its group."""
    SPAWNED = "spawned"
    """Its process was made."""
    SPAWN_FAILED = "spawn_failed"
    """Its process could not be made."""
    ADOPTED = "adopted"
    """A shim with a running engine was found."""
    ANSWERED = "answered"
    """Its API answers, and it is awake."""
    WENT_SILENT = "went_silent"
    """Its API answered before and does not now."""
    SLEPT = "slept"
    """It was put to sleep: it serves nothing until it is woken."""
    KEPT = "kept"
    """It was to sleep or to end, and serves on: it was busy too long, did not fall asleep, or the
    head of its group refused."""
    STALLED = "stalled"
    """It has work and makes no progress."""
    PROGRESSED = "progressed"
    """It made progress after all."""
    DRAIN = "drain"
    """Somebody wants it to end or to sleep, and requests may be in flight."""
    STOP = "stop"
    """Somebody wants it to end; no request is in flight any more, or none is waited for."""
    EXITED = "exited"
    """Nothing of it is left."""
    HOLD = "hold"
    """Another start would meet the same wall: it waits for a person, or for what it depends on."""


class InvalidTransitionError(RuntimeError):
    """An event came in a state that does not know it: a mistake in the code."""


_S, _E = State, Trigger

TRANSITIONS: Mapping[tuple[State, Trigger], State] = MappingProxyType(
    {
        (_S.STOPPED, _E.START): _S.STARTING,
        (_S.STOPPED, _E.ADOPTED): _S.LOADING,
        (_S.STOPPED, _E.HOLD): _S.HELD,
        (_S.STOPPED, _E.WAIT): _S.WAITING,
        (_S.WAITING, _E.START): _S.STARTING,
        (_S.WAITING, _E.ADOPTED): _S.LOADING,
        (_S.WAITING, _E.HOLD): _S.HELD,
        (_S.WAITING, _E.STOP): _S.STOPPED,
        (_S.STARTING, _E.SPAWNED): _S.LOADING,
        (_S.STARTING, _E.SPAWN_FAILED): _S.BACKOFF,
        (_S.LOADING, _E.ANSWERED): _S.READY,
        (_S.LOADING, _E.STALLED): _S.STALLED,
        (_S.LOADING, _E.STOP): _S.STOPPING,
        (_S.LOADING, _E.EXITED): _S.BACKOFF,
        (_S.READY, _E.WENT_SILENT): _S.UNREACHABLE,
        (_S.READY, _E.SLEPT): _S.SLEEPING,
        (_S.READY, _E.STALLED): _S.STALLED,
        (_S.READY, _E.DRAIN): _S.DRAINING,
        (_S.READY, _E.EXITED): _S.BACKOFF,
        (_S.SLEEPING, _E.ANSWERED): _S.READY,
        (_S.SLEEPING, _E.WENT_SILENT): _S.UNREACHABLE,
        (_S.SLEEPING, _E.STALLED): _S.STALLED,
        (_S.SLEEPING, _E.STOP): _S.STOPPING,
        (_S.SLEEPING, _E.EXITED): _S.BACKOFF,
        (_S.UNREACHABLE, _E.ANSWERED): _S.READY,
        (_S.UNREACHABLE, _E.SLEPT): _S.SLEEPING,
        (_S.UNREACHABLE, _E.STALLED): _S.STALLED,
        (_S.UNREACHABLE, _E.STOP): _S.STOPPING,
        (_S.UNREACHABLE, _E.EXITED): _S.BACKOFF,
        (_S.STALLED, _E.PROGRESSED): _S.READY,
        (_S.STALLED, _E.ANSWERED): _S.READY,
        (_S.STALLED, _E.SLEPT): _S.SLEEPING,
        (_S.STALLED, _E.WENT_SILENT): _S.UNREACHABLE,
        (_S.STALLED, _E.STOP): _S.STOPPING,
        (_S.STALLED, _E.EXITED): _S.BACKOFF,
        (_S.DRAINING, _E.SLEPT): _S.SLEEPING,
        (_S.DRAINING, _E.KEPT): _S.READY,
        (_S.DRAINING, _E.STOP): _S.STOPPING,
        (_S.DRAINING, _E.EXITED): _S.STOPPED,
        (_S.STOPPING, _E.EXITED): _S.STOPPED,
        (_S.BACKOFF, _E.START): _S.STARTING,
        (_S.BACKOFF, _E.WAIT): _S.WAITING,
        (_S.BACKOFF, _E.ADOPTED): _S.LOADING,
        (_S.BACKOFF, _E.HOLD): _S.HELD,
        (_S.BACKOFF, _E.STOP): _S.STOPPED,
        (_S.HELD, _E.START): _S.STARTING,
        (_S.HELD, _E.WAIT): _S.WAITING,
        (_S.HELD, _E.ADOPTED): _S.LOADING,
        (_S.HELD, _E.STOP): _S.STOPPED,
    }
)


def transition(state: State, event: Trigger) -> State:
    """Return the state that follows.

    Raises: InvalidTransitionError: the table has no such way; the supervisor is wrong.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransitionError(f"event {event} in state {state}") from None


ENDING = frozenset({State.DRAINING, State.STOPPING})
SERVING = frozenset({State.READY, State.SLEEPING})
ENDED = frozenset({State.STOPPED, State.WAITING, State.BACKOFF, State.HELD})

HAS_PAGE = frozenset(
    {
        State.READY,
        State.SLEEPING,
        State.STALLED,
        State.UNREACHABLE,
        State.DRAINING,
        State.STOPPING,
    }
)
"""States in which the engine's page can be read."""

HOLDS = frozenset({State.STARTING, State.LOADING}) | HAS_PAGE - {State.SLEEPING}
"""States in which an engine has its GPU memory, or takes it."""
