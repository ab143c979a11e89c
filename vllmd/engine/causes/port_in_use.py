"""Somebody else listens on the engine's port."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="port_in_use",
    kind=Kind.TRANSIENT,
    explanation="Another process listens on the engine's port.",
    advice="End it (ss -ltnp names it) or give the engine another port.",
    signatures=(
        r"\[Errno 98\]",
        r"[Aa]ddress already in use",
    ),
)
