"""Files that are named after days (UTC): which there are, and which are too old."""

from datetime import UTC, datetime
from pathlib import Path

from vllmd.util.units import DAY_S


def day_of(at: float) -> str:
    """Return the day of a time (seconds since the epoch), in UTC, such as ``2026-01-31``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def days_in(folder: Path) -> list[str]:
    """Return the days that a folder has a file of, the oldest first."""
    return sorted(path.stem for path in folder.glob("????-??-??.json"))


def remove_old(folder: Path, now: float, keep_s: float) -> None:
    """Remove the days that are too old, and never more than there are beyond those to be kept.

    So a clock that is a year ahead for a minute removes one day at most.
    """
    oldest, days = day_of(now - keep_s), days_in(folder)
    for day in days[: max(0, len(days) - int(keep_s // DAY_S))]:
        if day < oldest:
            (folder / f"{day}.json").unlink(missing_ok=True)
