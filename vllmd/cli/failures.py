"""What `vllmd why` tells, made here of events: where no daemon tells it, and on the full screen."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vllmd.cli.history_source import find_events
from vllmd.control.client import ControlClient
from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.eventlog.stories import tell_all
from vllmd.history.reading import EventFilter


def failures_told(client: ControlClient, config_path: Path) -> list[Event]:
    """Return the events that `why` is told from.

    Raises: VllmdError: they cannot be had.
    """
    since = time.time() - narrative.LOOK_BACK_S
    wanted = EventFilter(since=since, names=narrative.NAMES, limit=narrative.MAX_EVENTS)
    return find_events(client, config_path, wanted)


def stories(told: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the story of each engine, as JSON has it."""
    return [each.to_json() for each in tell_all(told, time.time())]
