"""What follows a failure: another start after a pause, or a hold. Pure: no I/O, no clock.

A transient cause is worth another start. A bad configuration, a GPU that needs a reset or a driver
that changed is a wall: starting into it again only costs loads. So is an error of the engine itself
that ended two starts in a row which never became ready. But a wrong hold is an outage, so an engine
that was ready before with this very command is never held the first time that a cause comes (a
neighbour on its GPU may have grown meanwhile), a run that served is held only for a cause that says
why it can end such a run (`LASTING`: what an engine was given cannot be wrong if it served with it;
if it changed meanwhile, the next start says so), and each hold is tried again once. What is only
suspected holds no engine by itself: the same error on two such starts does, and then the hold, its
one try and what it waits for are those of the suspect.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.config.model import RestartConfig
from vllmd.engine.causes import LASTING
from vllmd.engine.causes.base import WALLS, Diagnosis, Kind
from vllmd.util.units import format_duration

OF_THE_ENGINE = frozenset(
    {
        "unknown",
        "engine_bug",
        "cuda_error",
        "nccl_failure",
        "crashed",
        "kv_transfer",
        "worker_timeout",
    }
)
"""Causes that nobody outside the engine fixes: the same error twice will come a third time.

What another process, host or server does (a port, the hub, a peer, memory that is held) may have
ended by the next start.
"""


@attrs.frozen
class Failure:
    """One end that nobody asked for. `at` is in seconds since the epoch."""

    at: float
    cause: str
    root: str | None = None
    """The error that it ended by, without its numbers, if it never became ready."""


@attrs.frozen
class RestartHistory:
    """What earlier runs say, for one engine; kept across restarts of the daemon and of the host."""

    failures: tuple[Failure, ...] = ()
    """Oldest first, none older than the window; those before sustained readiness are forgotten."""
    proven: tuple[str, ...] = ()
    """Fingerprints of the commands that have been ready, the newest last."""
    retried: str | None = None
    """The cause of the hold whose one timed retry was made."""

    def moved(self, by_s: float) -> "RestartHistory":
        """Return it as it reads once the time of day was set by so many seconds."""
        failures = tuple(attrs.evolve(each, at=each.at + by_s) for each in self.failures)
        return attrs.evolve(self, failures=failures)


@attrs.frozen
class Hold:
    """An engine is not started. Times are seconds since the epoch."""

    cause: str
    reason: str
    since: float
    retry_at: float | None
    """When it is tried again by itself; None if that was done and came to the same end."""
    command_hash: str
    fine: bool | None = None
    """Whether what the engine depends on was fine when the hold began; None if nobody can tell."""
    fingerprint: Mapping[str, str] = MappingProxyType({})
    """What the engine ran on when the hold began: with something else it may well start."""

    def moved(self, by_s: float) -> "Hold":
        """Return it as it reads once the time of day was set by so many seconds."""
        retry_at = None if self.retry_at is None else self.retry_at + by_s
        return attrs.evolve(self, since=self.since + by_s, retry_at=retry_at)

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept and shown."""
        shown = attrs.asdict(
            self, recurse=False, filter=lambda field, _: field.name != "fingerprint"
        )
        return {**shown, "surroundings": dict(self.fingerprint)}


@attrs.frozen
class Retry:
    """An engine is started again after a pause, in seconds."""

    pause_s: float


MAX_PROVEN = 8


def proven(past: RestartHistory, command_hash: str) -> RestartHistory:
    """Note that an engine of this command became ready."""
    others = tuple(known for known in past.proven if known != command_hash)
    return attrs.evolve(past, proven=(*others, command_hash)[-MAX_PROVEN:])


def forgotten(past: RestartHistory) -> RestartHistory:
    """Forget the failures: readiness lasted, or a person took a hand."""
    return attrs.evolve(past, failures=(), retried=None)


def decide(
    past: RestartHistory,
    diagnosis: Diagnosis | None,
    settings: RestartConfig,
    *,
    command_hash: str,
    ready_s: float,
    now: float,
    chance: float,
    wall: bool = False,
) -> tuple[RestartHistory, Retry | Hold]:
    """Decide what follows a failure of an engine that had been ready for `ready_s` seconds.

    `now` is in seconds since the epoch, `chance` a random number from 0 to 1. With `wall`, a cause
    that is worth another start otherwise is not any more, unless the run had served.

    Returns: the past with this failure in it, and what to do.
    """
    if ready_s >= settings.reset_after_s > 0:
        past = forgotten(past)
    cause = diagnosis.cause if diagnosis else "unknown"
    kind = diagnosis.kind if diagnosis else Kind.UNKNOWN
    suspect = (diagnosis.perhaps if diagnosis else None) or cause
    since = now - settings.window_s
    kept = tuple(f for f in past.failures if since <= f.at <= now)
    seen = any(failure.cause == cause for failure in kept)
    root = _root(diagnosis) if ready_s == 0 else None
    same = root is not None and bool(kept) and kept[-1].root == root
    uncertain = suspect != cause and kind is Kind.UNKNOWN
    wall = wall or (same and (uncertain or suspect in OF_THE_ENGINE))
    past = attrs.evolve(past, failures=(*kept, Failure(now, cause, root))[-settings.max_failures :])
    count = len(past.failures)
    wall = wall or (kind in WALLS and (seen or command_hash not in past.proven))
    if wall and (ready_s == 0 or cause in LASTING):
        again = past.retried == suspect
        retry_at = None if again else now + settings.hold_retry_s
        twice = "The start before ended by the same error. " if same else ""
        reason = f"{diagnosis.explanation} {twice}{diagnosis.advice}" if diagnosis else cause
        return past, Hold(suspect, reason, now, retry_at, command_hash)
    if count >= settings.max_failures:
        window = format_duration(now - past.failures[0].at)
        began = past.failures[0].cause
        reason = f"{count} failures within {window}; the first: {began}, the last: {cause}."
        return past, Hold(suspect, reason, now, now + settings.hold_retry_s, command_hash)
    pause_s: float = min(settings.max_s, settings.initial_s * 2 ** min(count - 1, 32))
    return past, Retry(pause_s * (1 + settings.jitter * chance))


def _root(diagnosis: Diagnosis | None) -> str | None:
    """Return the line that shows a failure, as it reads in any run."""
    if diagnosis is None or not diagnosis.evidence:
        return None
    return re.sub(r"0x[0-9a-fA-F]+|\d+", "#", diagnosis.evidence[0])


def released(past: RestartHistory, hold: Hold, *, by_time: bool) -> RestartHistory:
    """Return the past of an engine whose hold ends.

    Tried by time, its failures still count: one more, and it is held again.
    """
    return attrs.evolve(past, retried=hold.cause) if by_time else forgotten(past)
