"""What is known of one engine across restarts of the daemon and of the host: a small file."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from vllmd.engine import exits
from vllmd.engine.exits import Exit
from vllmd.engine.liveness.work_baseline import WorkBaseline
from vllmd.engine.loading.durations import KEPT_COMMANDS, Starts
from vllmd.engine.restart.policy import Failure, Hold, RestartHistory
from vllmd.engine.state_machine import State, Trigger
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.late_state import LateState
from vllmd.util.state_file import StateFile

T = TypeVar("T")

_EVENTS, _STATES = frozenset(Trigger), frozenset(State)


@attrs.define
class RestartState:
    """Counts, ends, past failures and a hold of one engine."""

    past: RestartHistory = attrs.field(factory=RestartHistory)
    hold: Hold | None = None
    restarts: int = 0
    exits: Counter[tuple[str, bool]] = attrs.field(factory=Counter)
    causes: Counter[str] = attrs.field(factory=Counter)
    """Ends that nobody asked for, by their cause."""
    requests_lost: int = 0
    """Requests that were in flight at such an end."""
    transitions: Counter[tuple[Trigger, State]] = attrs.field(factory=Counter)
    """Changes of the state, by what happened and where it led."""
    last_exit: Exit | None = None
    first_failure: Exit | None = None
    """What began the failures that are not over yet: later ones may be its echo."""
    cache_moved: bool = False
    """Whether the compile cache was set aside since the engine was last ready for long."""
    starts: Starts = attrs.field(factory=dict)
    work: dict[str, WorkBaseline] = attrs.field(factory=dict)
    """What the engine shows when it works, by the hash of its command, the newest last."""
    short_starts: dict[str, int] = attrs.field(factory=dict)
    """Starts that became ready although too little GPU memory seemed to be free, by the hash of
    the command, the newest last: the estimate is wrong for it."""

    def note_short_start(self, command_hash: str) -> None:
        """Note one more; the oldest commands are forgotten."""
        count = self.short_starts.pop(command_hash, 0) + 1
        kept = list(self.short_starts.items())[1 - KEPT_COMMANDS :]
        self.short_starts = {**dict(kept), command_hash: count}

    def take_up(self, earlier: "RestartState", *, runs: bool) -> None:
        """Go on with what an earlier daemon knew, read late; `runs` if the engine does meanwhile.

        Counts go on as they were shown meanwhile: one that jumps looks as if it happened now.
        """
        past, before = self.past, earlier.past
        self.past = RestartHistory(
            (*before.failures, *past.failures),
            (*(each for each in before.proven if each not in past.proven), *past.proven),
            past.retried or before.retried,
        )
        self.hold = None if runs else self.hold or earlier.hold
        self.last_exit = self.last_exit or earlier.last_exit
        self.first_failure = earlier.first_failure or self.first_failure
        self.cache_moved = self.cache_moved or earlier.cache_moved
        self.starts = _newest({**earlier.starts, **self.starts})
        self.work = _newest({**earlier.work, **self.work})
        self.short_starts = _newest({**earlier.short_starts, **self.short_starts})


def _newest(by_command: dict[str, T]) -> dict[str, T]:
    return dict(list(by_command.items())[-KEPT_COMMANDS:])


class RestartStateFile:
    """The file of one engine."""

    def __init__(self, path: Path, do: DiskWork = at_once) -> None:
        """Name the file; `do` is who writes it, and waits for the disk."""
        self._file = StateFile(
            path,
            if_unusable="counts and holds start from zero",
            if_not_written="counts and holds are lost if the daemon ends now",
            do=do,
        )
        self._late = LateState(self._file, _from_json, do)

    def load(self) -> RestartState:
        """Return what is known; nothing, if the file is not there, or cannot be used or read."""
        return self._late.load() or RestartState()

    @property
    def late(self) -> str | None:
        """Why it was not read yet; None if it was."""
        return self._late.problem

    def read_again(self) -> None:
        """Read what was not read yet; waits for the disk. The next `save` takes it up."""
        self._late.read_again()

    def save(self, known: RestartState, *, runs: bool = False) -> None:
        """Write down what is known, with what was read late; `runs` if the engine does."""
        self._late.ask_again()
        if (earlier := self._late.take()) is not None:
            known.take_up(earlier, runs=runs)
        if self.late is None:
            self._file.save(_to_json(known))

    async def saved(self, seconds: float) -> None:
        """Wait until what was saved until now is on the disk, or refused by it; but not longer."""
        await self._file.saved(seconds)


def _to_json(known: RestartState) -> dict[str, Any]:
    return {
        "past": attrs.asdict(known.past),
        "hold": known.hold.to_json() if known.hold else None,
        "restarts": known.restarts,
        "exits": [[code, asked, count] for (code, asked), count in known.exits.items()],
        "causes": dict(known.causes),
        "requests_lost": known.requests_lost,
        "transitions": [[str(e), str(s), count] for (e, s), count in known.transitions.items()],
        "last_exit": exits.to_json(known.last_exit),
        "first_failure": exits.to_json(known.first_failure),
        "cache_moved": known.cache_moved,
        "starts": known.starts,
        "work": {command: work.to_json() for command, work in known.work.items()},
        "short_starts": dict(known.short_starts),
    }


def _from_json(record: Mapping[str, Any]) -> RestartState:
    past, hold = record["past"], record["hold"]
    return RestartState(
        past=RestartHistory(
            failures=tuple(
                Failure(float(f["at"]), str(f["cause"]), f.get("root")) for f in past["failures"]
            ),
            proven=tuple(str(each) for each in past["proven"]),
            retried=past["retried"],
        ),
        hold=_hold(hold) if hold else None,
        restarts=int(record["restarts"]),
        exits=Counter({(str(c), bool(asked)): int(n) for c, asked, n in record["exits"]}),
        causes=Counter({str(cause): int(n) for cause, n in record.get("causes", {}).items()}),
        requests_lost=int(record.get("requests_lost", 0)),
        transitions=Counter(
            {
                (Trigger(event), State(state)): int(count)
                for event, state, count in record.get("transitions", ())
                if event in _EVENTS and state in _STATES
            }
        ),
        last_exit=exits.from_json(record["last_exit"]),
        first_failure=exits.from_json(record["first_failure"]),
        cache_moved=bool(record["cache_moved"]),
        starts={
            str(command): [{str(k): float(v) for k, v in start.items()} for start in each]
            for command, each in record["starts"].items()
        },
        work={
            str(command): WorkBaseline.from_json(each)
            for command, each in record.get("work", {}).items()
        },
        short_starts={
            str(command): int(count) for command, count in record.get("short_starts", {}).items()
        },
    )


def _hold(hold: dict[str, Any]) -> Hold:
    retry_at = hold["retry_at"]
    return Hold(
        cause=str(hold["cause"]),
        reason=str(hold["reason"]),
        since=float(hold["since"]),
        retry_at=float(retry_at) if retry_at is not None else None,
        command_hash=str(hold["command_hash"]),
        fine=hold["fine"],
        fingerprint={str(k): str(v) for k, v in hold["surroundings"].items()},
    )
