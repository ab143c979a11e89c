"""Whose is the memory of a GPU? Pure.

Every byte has one owner: an engine, weights that are kept for one, an orphan of ours, a foreign
process, the driver, nobody. Where NVML does not say how much a process holds, its memory is in what
cannot be attributed.
"""

import enum
from collections.abc import Iterable, Mapping

import attrs


class Owner(enum.StrEnum):
    """To whom memory belongs."""

    ENGINE = "engine"
    WEIGHTS = "weights"
    """Of what keeps an engine's weights, beside the engine itself."""
    ORPHAN = "orphan"
    """Was an engine's, and belongs to none that runs."""
    FOREIGN = "foreign"
    RESERVED = "reserved"
    UNATTRIBUTED = "unattributed"
    """Used, and by none of the processes that are listed: contexts, figures that are missing."""
    FREE = "free"


@attrs.frozen
class GpuMemory:
    """One GPU's memory at one moment, in bytes; `used` is without `reserved`."""

    total: int
    reserved: int
    free: int
    used: int


@attrs.frozen
class Holder:
    """A process that has memory of a GPU. `name` and `user` are for people, never for labels."""

    pid: int
    bytes: int | None
    owner: Owner
    engine: str | None = None
    name: str = ""
    user: str = ""
    start_ticks: int = 0

    def is_of(self, engine: str) -> bool:
        """Tell whether it belongs to an engine that runs."""
        return self.owner is Owner.ENGINE and self.engine == engine

    def is_weights_of(self, engine: str) -> bool:
        """Tell whether it keeps the weights of an engine."""
        return self.is_kept_weights and self.engine == engine

    @property
    def is_kept_weights(self) -> bool:
        """Tell whether it only keeps weights: it computes nothing."""
        return self.owner is Owner.WEIGHTS

    def describe(self) -> str:
        """Name it for a person."""
        return f"{self.name or 'a process that cannot be seen from here'} (pid {self.pid})"


Share = tuple[Owner, str | None]
"""An owner, and the engine if it is one, or its weights."""


def shares(memory: GpuMemory, holders: Iterable[Holder]) -> Mapping[Share, int]:
    """Divide a GPU's memory among its owners.

    Returns: bytes, which add up to `memory.total`. `UNATTRIBUTED` is negative where the processes'
        figures overlap.
    """
    engines: dict[Share, int] = {}
    others: dict[Share, int] = {(Owner.ORPHAN, None): 0, (Owner.FOREIGN, None): 0}
    for holder in holders:
        if holder.owner in (Owner.ENGINE, Owner.WEIGHTS):
            key = holder.owner, holder.engine
            engines[key] = engines.get(key, 0) + (holder.bytes or 0)
        else:
            others[holder.owner, None] += holder.bytes or 0
    known = sum(engines.values()) + sum(others.values())
    rest = memory.total - memory.reserved - memory.free
    return {
        **engines,
        **others,
        (Owner.RESERVED, None): memory.reserved,
        (Owner.UNATTRIBUTED, None): rest - known,
        (Owner.FREE, None): memory.free,
    }
