"""Exceptions that led to each other, in one process and from one process to the next. Pure.

vLLM's workers tell its core, and that the API server, that they failed; each prints a traceback of
its own. The chain of the innermost process has the root; what other exceptions an output has were
survived, or are echoes.
"""

import enum
import re
from collections.abc import Callable, Iterable, Sequence

import attrs

from vllmd.engine.log_reading.thrown import Thrown


class Depth(enum.IntEnum):
    """Which of vLLM's processes says something, the innermost first."""

    WORKER = 0
    CORE = 1
    SERVER = 2


_ENDS = re.compile(
    r"failed to start|hit an exception|encountered a fatal error|^Process \S+:$"
    r"|^Exception in worker|Engine background task failed|AsyncLLMEngine has failed"
    r"|Error in model execution"
    r"|Error executing method '?(?!\w*lora)"
    r"|MQLLMEngine terminated|Got fatal signal|Failed core proc"
)
"""What vLLM and multiprocessing print before the traceback that ends a process."""
_DEPTHS = (
    (Depth.WORKER, re.compile(r"worker|^RayWorkerWrapper|^VLLM::Worker", re.IGNORECASE)),
    (Depth.CORE, re.compile(r"EngineCore|MQLLMEngine|^Process (?:Spawn|Fork)?Process-\d|DPEngine")),
)
_SHORTEST = 12
"""A message of fewer characters may be in another by chance."""


@attrs.frozen(eq=False)
class Chain:
    """Exceptions of one process of which each led to the next, the root first."""

    members: tuple[Thrown, ...]

    @property
    def begin(self) -> int:
        """Where its first traceback begins."""
        return self.members[0].begin

    @property
    def depth(self) -> Depth:
        """The process that printed it."""
        said = (self.members[0].header, self.members[0].entry.process or "")
        found = (depth for depth, mark in _DEPTHS if any(map(mark.search, said)))
        return next(found, Depth.SERVER)

    @property
    def ends(self) -> bool:
        """Whether a process ended by it."""
        return self.members[-1].is_main or any(_ENDS.search(each.header) for each in self.members)

    @property
    def is_bare(self) -> bool:
        """Whether the server printed it and nothing before it: mostly what ended it."""
        first = self.members[0]
        plain = first.has_traceback and first.entry.level is None and not first.header
        return plain and self.depth is Depth.SERVER

    def repeats(self, text: str) -> bool:
        """Tell whether a message is one of its own, or is quoted in one."""
        if len(text) < _SHORTEST:
            return False
        return any(text in line for each in self.members for line in (each.message, *each.more))


def chains_of(thrown: Iterable[Thrown]) -> list[Chain]:
    """Group exceptions, which are in the order of their lines, into chains."""
    groups: list[list[Thrown]] = []
    of: dict[Thrown, int] = {}
    ending_at: dict[int, list[int]] = {}
    """Groups by the lines that a member of theirs ends at."""
    for each in thrown:
        number = of.get(each.before) if each.before is not None else None
        if number is None:
            close = (n for n in ending_at.get(each.begin, ()) if _goes_on(groups[n][-1], each))
            number = max(close, default=None)
        if number is None:
            number = len(groups)
            groups.append([])
        groups[number].append(each)
        of[each] = number
        ending_at.setdefault(each.end, []).append(number)
    return [Chain(tuple(group)) for group in groups]


def _goes_on(last: Thrown, each: Thrown) -> bool:
    """Tell whether it is of another one's message: ``raised:`` and then what was raised."""
    behind = last.end == each.begin and last.entry.stream == each.entry.stream
    said = (last.message.rstrip(), *(line.rstrip() for line in last.more[-1:]))
    quotes = any(line.endswith(":") for line in said)
    quoted = not each.has_traceback or (each.before is None and quotes)
    return behind and last.has_traceback and quoted


def ending(chains: Sequence[Chain], is_own: Callable[[Thrown], bool]) -> tuple[Chain, ...]:
    """Return the chains that the run ended by, the one with the root first; none if none says so.

    `is_own` tells an exception from one that only says that another came before.
    """
    ended = [chain for chain in chains if chain.ends] or [c for c in chains if c.is_bare][-1:]
    if not ended:
        return ()
    told = [chain for chain in ended if any(map(is_own, chain.members))]
    first = min(told, key=lambda chain: (chain.depth, chain.begin), default=ended[-1])
    first = _first_said(chains, first, is_own)
    rest = [chain for chain in ended if chain is not first and chain.depth > first.depth]
    return (first, *rest)


def _first_said(chains: Sequence[Chain], chain: Chain, is_own: Callable[[Thrown], bool]) -> Chain:
    """Return the chain whose root this one repeats, or quotes: that of a process below."""
    for each in chains:
        if each.begin >= chain.begin:
            break
        root = next(filter(is_own, each.members), None)
        if root is not None and chain.repeats(root.message):
            return each
    return chain
