"""The end of a part of a group, told by the end that came first, wherever that was. Pure."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import attrs

from vllmd.events.base import TypedEvent
from vllmd.events.engine import EngineExited, EngineSpawned
from vllmd.events.groups import GroupFailed

FAILED = GroupFailed
"""The event of which such an end is known."""


class ToldAt(Protocol):
    """Something that happened."""

    @property
    def told(self) -> TypedEvent | None:
        """What; None for what no story is made of."""
        ...


S = TypeVar("S", bound=ToldAt)


def with_groups(steps: Sequence[S]) -> list[S]:
    """Return what happened with the first end of a group in place of the end that followed here.

    A member whose run was only ended with the others has no failure of its own: that one is its.
    """
    found: list[S] = []
    for step in steps:
        if not isinstance(step.told, GroupFailed):
            found.append(step)
            continue
        at = _own_end(found)
        if at is None:
            told = _told(_NO_END, step.told)
            found.append(attrs.evolve(step, told=told))  # type: ignore[misc]
        else:
            own = found[at].told
            assert isinstance(own, EngineExited)
            found[at] = attrs.evolve(found[at], told=_told(own, step.told))  # type: ignore[misc]
    return found


_NO_END = EngineExited(
    code="group_lost",
    requested=False,
    text="",
    run_id="",
    phase=None,
    killed=(),
    incident=None,
    last_line=None,
)


def _own_end(steps: Sequence[ToldAt]) -> int | None:
    """Return where the end of the own run is told, if nobody asked for it."""
    for index in reversed(range(len(steps))):
        told = steps[index].told
        if isinstance(told, EngineExited):
            return None if told.requested else index
        if isinstance(told, EngineSpawned):
            return None
    return None


def _told(own: EngineExited, first: GroupFailed) -> EngineExited:
    explanation = f"On {first.host}: {first.explanation}" if first.explanation else None
    return attrs.evolve(
        own,
        text=f"was ended with its group; first, {first.host}: {first.text}",
        cause=first.cause,
        explanation=explanation,
        advice=f"On {first.host}: {first.advice}" if first.advice else None,
        evidence=first.evidence,
    )
