"""The events of probes: whether an engine's answers are those of its reference."""

import attrs

from vllmd.events.base import TypedEvent, omitted


@attrs.frozen(kw_only=True)
class ProbeRecorded(TypedEvent):
    """Answers of an engine were taken for right: later ones are compared with them."""

    name = "probe.recorded"

    by: str
    why: str
    noise: float
    """How far its answers were from each other, in nats."""
    before: float | None = omitted(None)
    """How far they are from the reference that there was, in nats."""
    warning: str | None = omitted(None)


@attrs.frozen(kw_only=True)
class ProbeWrong(TypedEvent):
    """An engine's answers are not those of its reference, asked several times."""

    name = "probe.wrong"
    level = "error"

    cause: str
    found: str
    """What differs most, and by how much."""
    asked_for: str
    """What the probe was for: a start, an Xid, the time."""
    consequence: str
    advice: str


@attrs.frozen(kw_only=True)
class ProbeDiffered(TypedEvent):
    """An engine's answers were not those of its reference once, and were when asked again."""

    name = "probe.differed"
    level = "warning"

    found: str


@attrs.frozen(kw_only=True)
class ProbeRight(TypedEvent):
    """Answers that were wrong are right again."""

    name = "probe.right"

    distance: float


@attrs.frozen(kw_only=True)
class ProbeNotRecorded(TypedEvent):
    """Answers of an engine are not taken for right, as they do not agree among themselves."""

    name = "probe.not_recorded"
    level = "warning"

    problem: str


@attrs.frozen(kw_only=True)
class ProbeNotApplicable(TypedEvent):
    """An engine's answers cannot be looked at."""

    name = "probe.not_applicable"
    level = "warning"

    problem: str
