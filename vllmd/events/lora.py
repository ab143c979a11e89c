"""The events of adapters."""

import attrs

from vllmd.events.base import TypedEvent, omitted


@attrs.frozen(kw_only=True)
class LoraLoaded(TypedEvent):
    """An adapter was loaded."""

    name = "lora.loaded"

    adapter: str
    path: str
    source: str
    replaced: bool
    duration_s: float


@attrs.frozen(kw_only=True)
class LoraUnloaded(TypedEvent):
    """An adapter was unloaded."""

    name = "lora.unloaded"

    adapter: str
    path: str | None
    duration_s: float


@attrs.frozen(kw_only=True)
class LoraFailed(TypedEvent):
    """An adapter was not loaded; without one, something with all of them went wrong."""

    name = "lora.failed"
    level = "warning"

    adapter: str | None = omitted("")
    path: str | None = omitted(None)
    reason: str | None = omitted(None)
    consequence: str | None = omitted(None)


@attrs.frozen(kw_only=True)
class LoraChangedElsewhere(TypedEvent):
    """An adapter was loaded or unloaded by another client."""

    name = "lora.changed_elsewhere"
    level = "warning"

    adapter: str
    path: str | None = omitted(None)
    change: str
    consequence: str
