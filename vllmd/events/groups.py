"""The events of a model over several hosts."""

import attrs

from vllmd.events.base import TypedEvent, omitted


@attrs.frozen(kw_only=True)
class GroupFailed(TypedEvent):
    """A group of hosts ended, and this is the end that came first, and on which host."""

    name = "group.failed"
    level = "error"

    host: str
    text: str
    cause: str | None = omitted(None)
    explanation: str | None = omitted(None)
    advice: str | None = omitted(None)
    evidence: tuple[str, ...] = omitted(())


@attrs.frozen(kw_only=True)
class GroupWishHeard(TypedEvent):
    """Somebody wants something of the group on a member, and its head acts on it."""

    name = "group.wish_heard"

    wish: str
    refused: str | None = omitted(None)


@attrs.frozen(kw_only=True)
class GroupHostSilent(TypedEvent):
    """The page of another host of a group could not be read for half a minute."""

    name = "group.host_silent"
    level = "warning"

    host: str
    how: str
    """`unreachable`, or `unreadable` if the host answers, and what is wrong is its page or how it
    is asked."""
    problem: str


@attrs.frozen(kw_only=True)
class GroupHostHeard(TypedEvent):
    """The page of another host of a group can be read again."""

    name = "group.host_heard"

    host: str
    after_s: float
