"""What the pages of all hosts say of one engine's replicas. Pure.

A page is a status document of another host, perhaps of another version: what is missing or of
another kind is not known, and ends nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from vllmd.config.fleet import FleetHost
from vllmd.errors import UnknownEngineError

Document = Mapping[str, Any]
HELD = "held"


@attrs.frozen
class Replica:
    """One engine of one host, as that host's page tells it; `engine` is its part of the page."""

    host: FleetHost
    name: str
    engine: Mapping[str, Any]
    at: float = 0.0
    """When its page was made, by that host's clock."""

    @property
    def state(self) -> str:
        """The state in a word."""
        return str(self.engine.get("state") or "not known")

    @property
    def up(self) -> bool:
        """Whether it serves."""
        return self.engine.get("up") is True

    @property
    def is_member(self) -> bool:
        """Whether it is a part of a group that has no API: the group's head is the replica."""
        group = self.engine.get("group")
        return isinstance(group, dict) and group.get("role") == "member"

    @property
    def wanted(self) -> bool:
        """Whether it is meant to run: not stopped by hand, nor without autostart."""
        return self.engine.get("wanted") is not False

    @property
    def run_began(self) -> float | None:
        """When the run that there is began, by that host's clock; no two runs have the same.

        None if there is none. The run's id is told to nobody but the host's own users.
        """
        started = self.engine.get("started_at")
        return float(started) if isinstance(started, int | float) else None

    @property
    def run_age_s(self) -> float | None:
        """For how long the run has been there, in seconds; None if there is none."""
        return None if self.run_began is None else max(0.0, self.at - self.run_began)

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """The last end, if nobody asked for it."""
        last = self.engine.get("last_exit")
        return last if isinstance(last, dict) and not last.get("requested") else None

    @property
    def version(self) -> str | None:
        """The version of vLLM that answers there."""
        return self.engine.get("vllm_version")

    @property
    def place(self) -> tuple[FleetHost, str]:
        """Where it is: the same on every page of its host."""
        return self.host, self.name

    @property
    def label(self) -> str:
        """What it is called among those of all hosts."""
        return f"{self.name} on {self.host}"


def replicas_of(name: str, pages: Mapping[FleetHost, Document | Exception]) -> list[Replica]:
    """Return the replicas of what `name` names, in the order of the hosts.

    An engine's name means the engines of that name, a served model's name all that serve it: so
    several engines of one host are replicas of each other.
    Raises: UnknownEngineError: no host that answered has any.
    """
    every = list(all_replicas(pages))
    named = [replica for replica in every if replica.name == name]
    found = named or [each for each in every if name in _served(each.engine)]
    if not found:
        known = {each.name: None for each in every}
        known |= {served: None for each in every for served in _served(each.engine)}
        raise UnknownEngineError.among(name, known)
    return found


def all_replicas(pages: Mapping[FleetHost, Document | Exception]) -> Iterable[Replica]:
    """Yield every engine of every host that answered; of a group the head, which is one replica."""
    return (each for each in all_engines(pages) if not each.is_member)


def all_engines(pages: Mapping[FleetHost, Document | Exception]) -> Iterable[Replica]:
    """Yield every engine of every host that answered, members of groups too."""
    for host, page in pages.items():
        if isinstance(page, Exception):
            continue
        at = page.get("at")
        for engine in page.get("engines") or ():
            if isinstance(engine, dict) and isinstance(engine.get("name"), str):
                moment = float(at) if isinstance(at, int | float) else 0.0
                yield Replica(host, engine["name"], engine, moment)


def _served(engine: Mapping[str, Any]) -> Sequence[str]:
    names = engine.get("served_names")
    return names if isinstance(names, list) else ()
