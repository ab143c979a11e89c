"""How each adapter stands: loaded, failed and why, to be tried again when. Pure: no I/O."""

import enum
from collections.abc import Collection
from typing import Any

import attrs

from vllmd.lora.desired import DesiredAdapter

FIRST_RETRY_S, LAST_RETRY_S = 10.0, 600.0


class AdapterCondition(enum.StrEnum):
    """What an adapter is."""

    LOADED = "loaded"
    FAILED = "failed"
    PENDING = "pending"
    UNLISTED = "unlisted"
    """Loaded, but wanted by nobody."""


@attrs.frozen
class AdapterStatus:
    """One adapter as others see it. Times are seconds since the epoch."""

    name: str
    path: str
    condition: AdapterCondition
    source: str | None = None
    reason: str | None = None
    """Why it is not loaded."""
    changed_at: float | None = None
    """When it was last loaded, or last failed to be."""
    load_duration_s: float | None = None
    errors: int = 0
    stale: bool = False
    """Whether its files have changed since they were loaded."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**attrs.asdict(self), "condition": str(self.condition)}


@attrs.define
class _AdapterRecord:
    reason: str | None = None
    changed_at: float | None = None
    duration_s: float | None = None
    errors: int = 0
    files: str = ""
    """The fingerprint of what was loaded, or failed to be."""
    stale: bool = False
    is_loaded: bool = False
    told: str | None = None
    """The reason that was told of."""
    retry_at: float = 0.0
    pause_s: float = FIRST_RETRY_S


class AdapterStatuses:
    """What is remembered of each adapter that is wanted."""

    def __init__(self) -> None:
        self._records: dict[str, _AdapterRecord] = {}

    def retain(self, names: Collection[str]) -> None:
        """Know these, and no others."""
        self._records = {name: self._records.get(name) or _AdapterRecord() for name in names}

    def _of(self, name: str) -> _AdapterRecord:
        """Return what is known of one; of one that is wanted no more nothing is kept."""
        return self._records.get(name) or _AdapterRecord()

    def of(self, name: str, want: DesiredAdapter, loaded: str | None) -> AdapterStatus:
        """Return how a wanted adapter stands; `loaded` is the path that the engine has it from."""
        record = self._of(name)
        condition = AdapterCondition.LOADED if loaded is not None else AdapterCondition.PENDING
        if loaded is None and record.reason is not None:
            condition = AdapterCondition.FAILED
        return AdapterStatus(
            name,
            want.path,
            condition,
            str(want.source),
            record.reason,
            record.changed_at,
            record.duration_s,
            record.errors,
            record.stale and loaded is not None,
        )

    @staticmethod
    def unlisted(name: str, path: str) -> AdapterStatus:
        """Return how an adapter stands that nobody wants."""
        return AdapterStatus(name, path, AdapterCondition.UNLISTED)

    def lost(self, name: str) -> bool:
        """Note that it is not loaded; tell whether it was, in this run of the engine."""
        record = self._of(name)
        was, record.is_loaded = record.is_loaded, False
        return was

    def due(self, name: str, now: float, files: str) -> bool:
        """Tell whether it is to be tried at `now`, monotonic, in seconds; `files` as they are."""
        record = self._of(name)
        failed_with = record.files if record.reason is not None else files
        return now >= record.retry_at or files != failed_with

    def retry(self, name: str) -> None:
        """Try it again at once."""
        record = self._of(name)
        record.retry_at, record.pause_s = 0.0, FIRST_RETRY_S

    def restarted(self) -> None:
        """Note that the engine is gone: nothing is loaded, and each is tried at once."""
        for name, record in self._records.items():
            record.is_loaded = record.stale = False
            self.retry(name)

    def found(self, name: str, files: str) -> None:
        """Note that the engine had it loaded from its start."""
        record = self._of(name)
        record.reason, record.is_loaded = None, True
        record.files = record.files or files

    def loaded(self, name: str, files: str, at: float, duration_s: float) -> None:
        """Note that it was loaded."""
        record = self._of(name)
        record.reason = record.told = None
        record.is_loaded, record.stale = True, False
        record.files, record.changed_at, record.duration_s = files, at, duration_s
        self.retry(name)

    def failed(
        self, name: str, reason: str, files: str, *, at: float, now: float, settle: bool
    ) -> bool:
        """Note that it could not be loaded; returns whether that is to be told.

        It is tried again after a pause that doubles, or once its files change. With `settle` it is
        told only if they have not since it failed before: they are being copied, perhaps.
        """
        record = self._of(name)
        quiet = settle and (record.reason is None or files != record.files)
        record.reason, record.files, record.changed_at = reason, files, at
        if quiet:
            record.retry_at = now
            return False
        record.errors += 1
        record.retry_at = now + record.pause_s
        record.pause_s = min(LAST_RETRY_S, record.pause_s * 2)
        news, record.told = reason != record.told, reason
        return news

    def files(self, name: str, files: str) -> None:
        """Compare the files that are there with those that were loaded."""
        record = self._of(name)
        record.is_loaded = True
        if not record.files:
            record.files = files
        if record.reason is None:
            record.stale = bool(files) and files != record.files
