"""A fault's timelines, played; and what is wrong with how its alert behaves."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from tests.timelines.promtool import Firing, alert_named, firing
from tests.timelines.scenes import Scene, scenes
from tests.timelines.signals import Fault
from vllmd.monitoring.rules import AlertSeverity

SLACK_STEPS = 2
"""A gap may move an alert by the sample that is missing, and the one beside it."""

RENAMED_STEPS = 5
"""So long an alert may go on about an engine or a GPU that is gone: the window for one gap."""


@attrs.frozen
class Outcome:
    """What promtool found, by the name of the scene."""

    fault: Fault
    played: Mapping[str, Scene]
    firing: Mapping[str, Firing]

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept: minutes after the fault began, in one scene None for silence."""
        found = {
            name: [each.first, each.last, each.minutes] if (each := self.firing.get(name)) else None
            for name in self.played
        }
        return {
            "what": self.fault.what,
            "alike": self.fault.alike.what,
            "lasts": self.fault.lasts,
            "step": self.fault.step,
            "once": self.fault.once,
            "flapping": self.fault.flapping,
            "short": self.played["short"].lasts if "short" in self.played else None,
            "renamed": self.played["renamed"].renamed if "renamed" in self.played else None,
            "scenes": found,
        }


def play(fault: Fault, folder: Path, fires: int | None = None) -> Outcome:
    """Play the fault itself first: when its alert fires, the others break off or go on there.

    That is not needed where it is known after how many minutes it `fires`.
    """
    if fires is None:
        first = firing(fault, [Scene("fires", tuple(fault.signals), fault.lasts)], folder)
        assert "fires" in first, f"{fault.alert} does not fire for: {fault.what}"
        fires = first["fires"].first
    every = {scene.host: scene for scene in scenes(fault, fires)}
    return Outcome(fault, every, firing(fault, list(every.values()), folder))


def wait_m(duration: str) -> int:
    """Return Prometheus' `for` in minutes."""
    return int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]


def complaints(outcome: Outcome) -> Iterator[str]:
    """Yield what is wrong with the timelines of an alert."""
    if "fires" not in outcome.firing:
        yield f"it does not fire for: {outcome.fault.what}"
        return
    yield from _of_the_fault(outcome)
    yield from _of_disturbances(outcome)
    yield from _of_flapping(outcome)


def _of_the_fault(outcome: Outcome) -> Iterator[str]:
    fault, found = outcome.fault, outcome.firing
    fires, wait = found["fires"], alert_named(fault.alert).wait
    if fires.first < wait_m(wait):
        yield f"it is to wait {wait}, and fires after {fires.first} min"
    for name in ("short", "reboot", "alike"):
        # a host that is down is no fault of one that is watched
        if name in found and (name != "reboot" or fault.gaps):
            yield f"{name}: fires after {found[name].first} min"
    if not fires.whole(fault.step):
        yield "fires: with breaks"
    if fires.last >= fault.lasts + fault.after - fault.step:
        yield "fires: it does not end"


def _of_disturbances(outcome: Outcome) -> Iterator[str]:
    fault, found = outcome.fault, outcome.firing
    fires = found["fires"].first
    for name in ("gap-before", "gap-while", "restarted", "reset"):
        if name not in outcome.played:
            continue
        if name not in found:
            yield f"{name}: silent"
        elif abs(found[name].first - fires) > SLACK_STEPS * fault.step:
            yield f"{name}: fires after {found[name].first} min instead of {fires}"
        elif name != "reset" and not found[name].whole(fault.step):
            yield f"{name}: it resolves, and fires again"
    renamed_at = outcome.played["renamed"].renamed if "renamed" in outcome.played else None
    if "renamed" in found and renamed_at is not None and not fault.once:
        over = found["renamed"].last + fault.step - renamed_at
        if over > RENAMED_STEPS * fault.step:
            yield f"renamed: fires for {over} min more"


def _of_flapping(outcome: Outcome) -> Iterator[str]:
    """Yield what is wrong where the fault comes and goes: silence, or a message each time."""
    fault, scene = outcome.fault, outcome.played["flaps"]
    found, critical = outcome.firing.get("flaps"), _is_critical(fault.alert)
    if found is None:
        if critical and not fault.flapping:
            yield "flaps: silent"
        return
    assert scene.flaps is not None
    breaks = found.last + fault.step - found.first - found.minutes
    if breaks > 2 * scene.flaps and not fault.flapping:
        yield f"flaps: it resolves, and fires again, for {breaks} min in all"


def _is_critical(alert: str) -> bool:
    return alert_named(alert).severity is AlertSeverity.CRITICAL
