"""The history's events, asked of the daemon."""

import attrs

from vllmd.control.client import ControlClient
from vllmd.eventlog.bus import Event, from_json
from vllmd.history.reading import EventFilter


def events_of(client: ControlClient, wanted: EventFilter) -> list[Event]:
    """Return events of the history, the oldest first.

    Raises: DaemonUnreachableError; VllmdError: it cannot be read.
    """
    given = {k: v for k, v in attrs.asdict(wanted).items() if v not in (None, ())}
    given["names"] = ",".join(wanted.names)
    found = client.events({k: v for k, v in given.items() if v != ""})
    return [from_json(each) for each in found]
