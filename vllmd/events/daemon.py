"""The events of the daemon itself: its life, its parts and its configuration."""

from collections.abc import Mapping

import attrs

from vllmd.events.base import TypedEvent, omitted


@attrs.frozen(kw_only=True)
class DaemonStarted(TypedEvent):
    """A daemon begins its work."""

    name = "daemon.started"

    version: str
    pid: int
    config: str | None
    engines: tuple[str, ...]
    exporter: str
    control: str


@attrs.frozen(kw_only=True)
class DaemonStopping(TypedEvent):
    """A signal asks the daemon to end."""

    name = "daemon.stopping"

    signal: str


@attrs.frozen(kw_only=True)
class DaemonStopped(TypedEvent):
    """The daemon ended in order."""

    name = "daemon.stopped"

    outcome: str


@attrs.frozen(kw_only=True)
class DaemonFailed(TypedEvent):
    """The daemon ended by a mistake."""

    name = "daemon.failed"
    level = "error"

    problem: str


@attrs.frozen(kw_only=True)
class DaemonRecovered(TypedEvent):
    """The daemon before this one ended without being asked to."""

    name = "daemon.recovered"
    level = "error"

    how: str
    problem: str
    pid: int | None
    ended_at: float | None


@attrs.frozen(kw_only=True)
class ConfigReloaded(TypedEvent):
    """The configuration was read again; keys are named, never their values."""

    name = "config.reloaded"

    config: str | None
    apply: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    running: tuple[str, ...]
    applied: Mapping[str, tuple[str, ...]]
    restart: Mapping[str, tuple[str, ...]]


@attrs.frozen(kw_only=True)
class ConfigRefused(TypedEvent):
    """The configuration cannot be used."""

    name = "config.refused"
    level = "error"

    problem: str
    consequence: str | None = omitted(None)


@attrs.frozen(kw_only=True)
class ConfigWarned(TypedEvent):
    """The configuration can be used, and something in it is doubtful."""

    name = "config.warned"
    level = "warning"

    problem: str


@attrs.frozen(kw_only=True)
class WebConfigReloaded(TypedEvent):
    """The web configuration was read again."""

    name = "web_config.reloaded"

    file: str


@attrs.frozen(kw_only=True)
class WebConfigRefused(TypedEvent):
    """The web configuration cannot be used."""

    name = "web_config.refused"
    level = "error"

    problem: str


@attrs.frozen(kw_only=True)
class PartFailed(TypedEvent):
    """A part of the daemon made a mistake; it goes on, after `retry_s` if that is given."""

    name = "part.failed"
    level = "error"
    engine_at = 4

    part: str
    problem: str
    failures: int
    retry_s: float | None


@attrs.frozen(kw_only=True)
class CollectorFailed(TypedEvent):
    """A collector made a mistake; its figures are missing."""

    name = "collector.failed"
    level = "error"

    collector: str


@attrs.frozen(kw_only=True)
class StateFileUnreadable(TypedEvent):
    """A file of the daemon's own cannot be used; it was set aside, and is begun anew."""

    name = "state_file.unreadable"
    level = "error"

    path: str
    problem: str
    consequence: str


@attrs.frozen(kw_only=True)
class StateFileNotWritten(TypedEvent):
    """A file of the daemon's own cannot be written."""

    name = "state_file.not_written"
    level = "error"

    path: str
    problem: str
    consequence: str


@attrs.frozen(kw_only=True)
class UsageFailed(TypedEvent):
    """What was used before cannot be gone on with."""

    name = "usage.failed"
    level = "error"

    day: str
    problem: str


@attrs.frozen(kw_only=True)
class NotificationFailed(TypedEvent):
    """A notice did not reach the webhook."""

    name = "notification.failed"
    level = "error"

    host: str | None = omitted("")
    problem: str
    notice: str | None = omitted(None)
