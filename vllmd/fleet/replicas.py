"""What the pages of all hosts say of one engine's replicas. Pure.

A page is a status document of another host, perhaps of another version: what is missing or of
another kind is not known, and ends nothing (`page_kinds.py`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from vllmd.config.fleet import FleetHost
from vllmd.errors import UnknownEngineError
from vllmd.fleet.page_kinds import is_number, of_kind

Document = Mapping[str, Any]
HELD, SLEEPING = "held", "sleeping"


@attrs.frozen
class Replica:
    """One engine of one host, as that host's page tells it.

    `engine` is its part of the page, as `page_kinds.of_kind` leaves it.
    """

    host: FleetHost
    name: str
    engine: Mapping[str, Any]
    at: float = 0.0
    """When its page was made, by that host's clock."""

    @property
    def state(self) -> str:
        """The state in a word."""
        return self.engine.get("state") or "not known"

    @property
    def up(self) -> bool:
        """Whether requests are to come, as its `/ready` says: it serves, and not wrongly."""
        return self.engine.get("up") is True and not self.is_withheld

    @property
    def is_withheld(self) -> bool:
        """Whether requests are kept from it, as its answers are wrong."""
        why = self.engine.get("wrong_answers")
        return why is not None

    @property
    def verdict(self) -> str | None:
        """What is known of its answers; None if nobody looks at them."""
        verdict: str | None = self.engine.get("probe", {}).get("verdict")
        return verdict

    @property
    def answers_awaited(self) -> bool:
        """Whether its answers are to be looked at, and were not yet in this run.

        One that was looked at may stay unknown: there was nothing to compare with.
        """
        probe = self.engine.get("probe", {})
        asked, at = probe.get("asked_in_run"), probe.get("asked_at")
        if asked is None:  # an older vllmd: its clock may have been set back since the run began
            asked = None not in (at, self.run_began) and at > self.run_began
        return self.verdict == "unknown" and not asked

    @property
    def group(self) -> Mapping[str, Any]:
        """What its page says of its group; empty if it is of one host."""
        group: Mapping[str, Any] = self.engine.get("group", {})
        return group

    @property
    def is_member(self) -> bool:
        """Whether it is a part of a group that has no API: the group's head is the replica."""
        return self.group.get("role") == "member"

    @property
    def wanted(self) -> bool:
        """Whether it is meant to run: not stopped by hand, nor without autostart."""
        return self.engine.get("wanted") is not False

    @property
    def is_asleep(self) -> bool:
        """Whether it was put to sleep: it is meant to serve nothing now."""
        return self.state == SLEEPING

    @property
    def run_began(self) -> float | None:
        """When the run that there is began, by that host's clock; no two runs have the same.

        None if there is none. The run's id is told to nobody but the host's own users.
        """
        return self.engine.get("started_at")

    @property
    def run_age_s(self) -> float | None:
        """For how long the run has been there, in seconds; None if there is none."""
        return None if self.run_began is None else max(0.0, self.at - self.run_began)

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """The last end, if nobody asked for it."""
        last = self.engine.get("last_exit")
        return last if last and not last.get("requested") else None

    @property
    def version(self) -> str | None:
        """The version of vLLM that answers there; of a member, which has no API, what it runs.

        None if that is not known, as of a member that was not restarted since another is there.
        """
        if self.is_member and not self.engine.get("command_changed"):
            return self.group.get("vllm")
        return self.engine.get("vllm_version")

    @property
    def served_names(self) -> list[str]:
        """The model's names, as requests give them."""
        names: list[str] = self.engine.get("served_names", [])
        return names

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
    found = named or [each for each in every if name in each.served_names]
    if not found:
        known = {each.name: None for each in every}
        known |= {served: None for each in every for served in each.served_names}
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
        moment = float(at) if is_number(at) else 0.0  # type: ignore[arg-type]
        shown = page.get("engines")
        for each in shown if isinstance(shown, list) else ():
            engine = of_kind(each)
            if engine is not None and "name" in engine:
                yield Replica(host, engine["name"], engine, moment)


def members_of(
    head: Replica, pages: Mapping[FleetHost, Document | Exception]
) -> tuple[Replica, ...]:
    """Return the other parts of a group, of its `head`; of an engine of one host there are none."""
    if head.group.get("role") != "head":
        return ()
    group = head.name, head.group.get("id")
    return tuple(
        each
        for each in all_engines(pages)
        if each.is_member and (each.name, each.group.get("id")) == group
    )
