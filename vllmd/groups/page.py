"""What a vllmd tells the others of its part of a group: the answer to `GET /groups/NAME`. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from vllmd.engine.causes import BY_NAME

SCHEMA = 1
START, RESTART = "start", "restart"
_PATH = re.compile(r"(?<![\w/])~?/(?!/)[^\s'\"),;]+")
"""A path of the host, and neither the name of a model nor a URL."""


@attrs.frozen
class GroupWish:
    """What somebody wants of the group, said on a member: the head reads it, and acts once.

    It is about the `generation` that the head's page showed then; of any other it says nothing.
    """

    what: str
    generation: str


@attrs.frozen
class RefusedWish:
    """What a head does not do, and why: who wanted it takes it back."""

    wish: GroupWish
    why: str


@attrs.frozen
class EndOfPart:
    """How a run of one host ended. `ago_s` is when, by that host's own clock, in seconds."""

    generation: str
    ago_s: float
    requested: bool
    text: str
    cause: str | None = None
    kind: str | None = None
    explanation: str | None = None
    advice: str | None = None
    evidence: tuple[str, ...] = ()
    """Lines that the engine printed, which may hold a prompt: for this host only."""


@attrs.frozen
class GroupPage:
    """One host's part of a group, as it stood when it was asked."""

    host: str
    rank: int
    generation: str | None
    """Of the run, while one `runs`. Else of the head the next one, of a member the one that it is
    ready for."""
    runs: bool = False
    """Whether a process of it exists, is being made, or is not proven gone."""
    waits: bool = False
    """Whether nothing runs, and only the group is in the way of a start."""
    served: bool = False
    """Whether this run was ready."""
    wanted: bool = True
    older: bool = False
    """Whether what runs was not started as this part of this group: nobody joins it."""
    state: str = ""
    for_s: float = 0.0
    """For how long it has been in that state, by that host's own clock."""
    gpus_busy: bool | None = None
    """Whether it computes; False only if its GPUs are idle, and its processes do nothing."""
    idle_ranks: tuple[int, ...] = ()
    """Data parallel ranks of this host whose GPUs and processes are known to do nothing."""
    problem: str | None = None
    """Why it is as it is, in words."""
    wish: GroupWish | None = None
    refused: RefusedWish | None = None
    """Of the head: a wish on a member that it does not fulfil."""
    ended: EndOfPart | None = None
    """The last end of a run of this host."""
    trouble: EndOfPart | None = None
    """Of a member: what its last run had said of a failure of its own when the group ended it."""
    failure: EndOfPart | None = None
    """Of the head: the first end of the last generation that failed."""
    failed_host: str | None = None
    """Of the head: on which host that was."""
    addresses: tuple[str, ...] = ()
    command_hash: str | None = None
    vllm: str | None = None
    revision: str | None = None

    @property
    def role(self) -> str:
        """The first host of a group is its head."""
        return role_of(self.rank)

    def to_json(self) -> dict[str, Any]:
        """Return what is answered."""
        return {"schema": SCHEMA, "role": self.role, **attrs.asdict(self)}


def role_of(rank: int) -> str:
    """Return `head` or `member`."""
    return "member" if rank else "head"


def for_others(page: GroupPage, mask: Callable[[str], str]) -> GroupPage:
    """Return a page as others may read it: nothing that an engine printed, no path, no secret.

    `mask` takes secrets out of a text.
    """

    def told(text: str) -> str:
        return _PATH.sub("(a path)", mask(text))

    def end(known: EndOfPart | None) -> EndOfPart | None:
        if known is None:
            return None
        advice = known.advice
        if advice and _PATH.search(advice) and (cause := BY_NAME.get(known.cause or "")):
            advice = cause.advice
        return attrs.evolve(
            known,
            text=told(known.text),
            explanation=known.explanation and told(known.explanation),
            advice=advice and told(advice),
            evidence=(),
        )

    return attrs.evolve(
        page,
        problem=page.problem and told(page.problem),
        refused=page.refused and attrs.evolve(page.refused, why=told(page.refused.why)),
        ended=end(page.ended),
        trouble=end(page.trouble),
        failure=end(page.failure),
    )


def from_json(shown: Mapping[str, Any]) -> GroupPage:
    """Read what `to_json` wrote; what a later version added is left out.

    Raises: ValueError, TypeError, KeyError, AttributeError, OverflowError: it is something else.
    """
    if int(shown["schema"]) < SCHEMA:
        raise ValueError(f"schema {shown['schema']!r} is too old")
    known = {each.name: shown[each.name] for each in attrs.fields(GroupPage) if each.name in shown}
    for name in ("ended", "trouble", "failure"):
        if known.get(name) is not None:
            known[name] = _end(known[name])
    if known.get("wish") is not None:
        known["wish"] = _wish(known["wish"])
    if (no := known.get("refused")) is not None:
        known["refused"] = RefusedWish(_wish(no["wish"]), str(no["why"]))
    for name in ("runs", "waits", "served", "wanted", "older"):
        if not isinstance(known.get(name, False), bool):
            raise TypeError(f"{name} is {known[name]!r}, and no truth value")
    _as_texts(known, "generation", "state", "problem", "failed_host")
    _as_texts(known, "command_hash", "vllm", "revision")
    known["for_s"] = float(known.get("for_s", 0.0))
    known["addresses"] = tuple(map(str, known.get("addresses", ())))
    known["idle_ranks"] = tuple(map(int, known.get("idle_ranks", ())))
    return GroupPage(**{**known, "host": str(known["host"]), "rank": int(known["rank"])})


def _wish(shown: Mapping[str, Any]) -> GroupWish:
    return GroupWish(str(shown["what"]), str(shown["generation"]))


def _end(shown: Mapping[str, Any]) -> EndOfPart:
    known = {each.name: shown[each.name] for each in attrs.fields(EndOfPart) if each.name in shown}
    known["ago_s"], known["requested"] = float(known["ago_s"]), bool(known["requested"])
    _as_texts(known, "generation", "text", "cause", "kind", "explanation", "advice")
    return EndOfPart(**{**known, "evidence": tuple(map(str, known.get("evidence", ())))})


def _as_texts(known: dict[str, Any], *names: str) -> None:
    """Have these be texts, where they are told at all."""
    for name in names:
        if known.get(name) is not None:
            known[name] = str(known[name])
