"""Who pays for a GPU: the weights by which its time and its energy are divided. Pure.

Time, and the power that a GPU takes without work, go by the memory that processes hold. Where no
engine holds any, those pay that are wanted there and do not run: the GPU waits for them. An engine
that nobody wants, or that is held, pays nothing while others are there.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from vllmd.cost.usage import NOBODY, OTHERS
from vllmd.gpu.memory_shares import Holder, Owner

MOST_OF_A_DESKTOP = 0.05
"""Other processes that hold a smaller part of what is held draw windows, and compute nothing."""


def held(
    holders: Iterable[Holder],
    engines: Collection[str],
    wanted: Collection[str],
    held_back: Collection[str],
    total: int | None,
    asleep: Collection[str] = (),
) -> Mapping[str, int]:
    """Return who pays for a GPU's time, by weights.

    `engines` are those that are known; `wanted` those that would use this GPU and are to run,
    `held_back` those that would use it and are held. `total` is its memory in bytes; None if that
    is not known. Where all that hold memory are `asleep`, they pay for
    what they hold and no more: the rest is there for others.
    """
    there = list(holders)
    ours = [holder for holder in there if _engine(holder, engines) != OTHERS]
    if ours and any(holder.bytes is None for holder in ours):
        # how much each holds is not told: they pay alike
        return dict.fromkeys({_engine(holder, engines) for holder in ours}, 1)
    found: Counter[str] = Counter()
    for holder in there:
        found[_engine(holder, engines)] += holder.bytes or 0
    if any(found[name] for name in found if name != OTHERS):
        if all(name in asleep for name in found if name != OTHERS and found[name]):
            found[NOBODY] = max(0, (total or 0) - sum(found.values()))
        return {name: size for name, size in found.items() if size}
    waiting = sorted(wanted) or sorted(held_back) or [NOBODY]
    if not found[OTHERS]:
        return dict.fromkeys(waiting, 1)
    rest = max(0, (total or 0) - found[OTHERS]) // len(waiting)
    return {OTHERS: found[OTHERS], **(dict.fromkeys(waiting, rest) if rest else {})}


def worked(weights: Mapping[str, int], busy: Collection[str]) -> Mapping[str, int]:
    """Return who makes a GPU take more power than without work, of those that pay for its time.

    `busy` are the engines that compute: the GPU gives each the same slices of time, whatever memory
    they hold. What other processes do is not known: they have the part that is theirs by memory,
    and where no engine computes it is they, if they hold more than a desktop would.
    """
    computing = [name for name in weights if name in busy]
    held_by_others, all_held = weights.get(OTHERS, 0), sum(weights.values())
    if not computing:
        return {OTHERS: 1} if held_by_others >= MOST_OF_A_DESKTOP * all_held else {}
    parts = dict.fromkeys(computing, all_held - held_by_others)
    if held_by_others:
        parts[OTHERS] = held_by_others * len(computing)
    return parts


def _engine(holder: Holder, engines: Collection[str]) -> str:
    ours = holder.owner in (Owner.ENGINE, Owner.WEIGHTS) and holder.engine in engines
    return str(holder.engine) if ours else OTHERS
