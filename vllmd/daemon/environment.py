"""What a daemon runs in: by hand, or under a service manager that holds sockets and engines."""

import socket
from collections.abc import Mapping

import attrs

from vllmd.config.run_options import Overrides
from vllmd.daemon.reload import Reloads
from vllmd.engine.process.spawner import DirectSpawner, Spawner
from vllmd.eventlog.bus import EventBus, Listener
from vllmd.history.marks import RecentMarks
from vllmd.http.connections import ConnectionTotals
from vllmd.notify.systemd import Notifier
from vllmd.notify.webhook import Outbox
from vllmd.traces.intake import IntakeState
from vllmd.traces.own_spans import OwnSpans
from vllmd.util.parts import PartRunner
from vllmd.util.redact import Redactor


@attrs.frozen
class Address:
    """Where a running daemon can be found."""

    exporter: str
    control: str


@attrs.frozen
class Environment:
    """By hand, or as a service whose manager holds sockets and engines."""

    spawner: Spawner = attrs.field(factory=DirectSpawner)
    sockets: Mapping[str, socket.socket] = attrs.field(factory=dict)
    """Listening sockets that the manager holds, by name: `exporter`, `otlp-http`, `otlp-grpc`."""
    notifier: Notifier = attrs.field(factory=lambda: Notifier({}))
    leaves_engines: bool = False
    """Whether SIGTERM ends the daemon only: the manager stops the engines after it, if at all."""
    feed: EventBus = attrs.field(factory=EventBus)
    outbox: Outbox = attrs.field(factory=Outbox)
    marks: RecentMarks = attrs.field(factory=RecentMarks)
    redactor: Redactor = attrs.field(factory=Redactor)
    reloads: Reloads = attrs.field(factory=Reloads)
    traces: IntakeState = attrs.field(factory=IntakeState)
    totals: ConnectionTotals = attrs.field(factory=ConnectionTotals)
    """What became of the connections of each listener."""
    own_spans: OwnSpans = attrs.field(
        default=attrs.Factory(lambda self: OwnSpans(self.traces.queue), takes_self=True)
    )

    parts: PartRunner = attrs.field(factory=PartRunner)
    overrides: Overrides = attrs.field(factory=Overrides)

    def listen(self, **own: Listener) -> None:
        """Hand the events on from now on: to a daemon's own, and to all that outlives it."""
        outliving = {
            "webhook": self.outbox.put,
            "traces": self.traces.put,
            "own_spans": self.own_spans.put,
            "marks": self.marks.put,
        }
        listeners = {**own, **outliving}
        self.parts.know(*(f"events:{name}" for name in listeners))
        self.feed.attach(listeners, self.parts.note)
