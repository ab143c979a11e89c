"""What a check found: what is wrong, why that matters, and what to do."""

from enum import StrEnum

import attrs


class FindingSeverity(StrEnum):
    """How sure it is that something fails."""

    ERROR = "error"
    """It will not start, or not serve."""
    WARNING = "warning"
    """It starts, and is likely to disappoint or to fail later."""
    INFO = "info"
    """Worth to know."""


@attrs.frozen
class Finding:
    """One finding."""

    check: str
    """The identifier, and the section of docs/doctor.md."""
    severity: FindingSeverity
    found: str
    """What is, with the value and where it stands."""
    reason: str
    fix: str
    engine: str | None = None

    def of(self, engine: str) -> "Finding":
        """Return the same of an engine."""
        return attrs.evolve(self, engine=engine)

    @property
    def page(self) -> str:
        """Where it is explained."""
        return f"docs/doctor.md#{self.check}"
