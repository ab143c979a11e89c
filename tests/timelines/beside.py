"""What of all alerts fires through a fault, beside the one that is for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.timelines.evaluation import Told, evaluate
from tests.timelines.scenes import Scene, series
from tests.timelines.signals import Fault

LOOKS = 10
"""So many times it is looked at while the alert fires."""


@attrs.frozen
class Through:
    """What fires through a fault."""

    first: Sequence[Told]
    """When its own alert begins to fire."""
    later: Sequence[Told]
    """What begins to fire while it does."""

    def to_json(self) -> Mapping[str, Any]:
        """Return it as it is kept."""
        return attrs.asdict(self)


def through(fault: Fault, first: int, last: int, folder: Path) -> Through:
    """Play a fault whose alert fires from and to these minutes after it began."""
    scene = Scene(f"{fault.alert}:9840", tuple(fault.signals), fault.lasts)
    every = dict(series(scene, fault))
    step = max(fault.step, (last - first) // LOOKS // fault.step * fault.step)
    moments = [*range(first, last, step), last]
    seen = evaluate(every, [fault.before + at for at in moments], folder, step_m=fault.step)
    known = {told.name for told in seen[0]}
    later: dict[str, Told] = {}
    for told in (each for moment in seen[1:] for each in moment):
        if told.name not in known:
            later.setdefault(told.name, told)
    return Through(seen[0], list(later.values()))
