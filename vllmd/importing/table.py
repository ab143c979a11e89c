"""An engine's table, and what is said of it. Pure."""

from typing import Any

import attrs


@attrs.define
class EngineTable:
    """The keys of [engines.NAME], and its own tables."""

    keys: dict[str, Any] = attrs.field(factory=dict)
    lora: dict[str, Any] = attrs.field(factory=dict)
    flags: dict[str, Any] = attrs.field(factory=dict)
    env: dict[str, str] = attrs.field(factory=dict)
    has_lora: bool = False
    own_address: bool = False
    """It was reached at an address of its own, so that others had the same port."""
    secrets: dict[str, str | None] = attrs.field(factory=dict)
    """For files of /etc/vllmd/credentials, by their name; None where the value is not known."""
    sources: dict[str, str] = attrs.field(factory=dict)
    """Where a secret comes from whose value is not known."""
    reasons: dict[str, str] = attrs.field(factory=dict)
    """Why a flag, or a variable, is not as it was: by its name."""
    remarks: list[str] = attrs.field(factory=list)


def of_secret(file: str) -> str:
    """Return the reason for a secret that is not where it was."""
    return f"a secret: it belongs into /etc/vllmd/credentials/{file}"
