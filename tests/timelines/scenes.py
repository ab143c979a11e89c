"""The timelines of a fault: what Prometheus would have scraped, minute by minute. Pure."""

from collections.abc import Iterator, Mapping

import attrs

from tests.timelines.signals import Fault, Signal, gauge

REBOOT_M = 6
FLAP_STEPS = 2
"""So long something that comes and goes is there, and is not: two samples each."""
ALWAYS = (
    gauge("up", 1.0, 1.0, job="vllmd"),
    gauge("vllmd_engine_wanted", 1.0, 1.0, vllmd_engine="chat"),
    gauge("vllmd_engine_state", 1.0, 1.0, vllmd_engine="chat", state="ready"),
    gauge("vllmd_gpu_up", 1.0, 1.0, gpu="0", uuid="GPU-0"),
)
"""What a host shows beside what a fault is about."""
NEW = {"vllmd_engine": "renamed", "uuid": "GPU-new"}
"""The labels of what comes in the place of what was renamed or exchanged."""


@attrs.frozen
class Scene:
    """One timeline: by the minute since the fault began, of a host of this name."""

    host: str
    signals: tuple[Signal, ...]
    lasts: int
    missed: frozenset[int] = frozenset()
    """Minutes in which the scrape fails."""
    reset: int | None = None
    """When counters begin anew."""
    flaps: int | None = None
    """For how long it is there, and then is not, and so on."""
    renamed: int | None = None
    """When the engine has another name, or the GPU another identity, and is well."""

    def wrong(self, minute: int, step: int) -> int:
        """Return for how long something has been wrong, with what goes wrong in this step."""
        if not 0 <= minute < self.lasts:
            return 0
        if self.flaps is None:
            return minute + step
        periods, since = divmod(minute, self.flaps)
        return since + step if periods % 2 == 0 else 0


def scenes(fault: Fault, fires: int) -> Iterator[Scene]:
    """Yield the timelines of a fault of which its alert fires `fires` minutes after it began."""
    signals = tuple(fault.signals)
    step, lasts = fault.step, fault.lasts
    yield Scene("fires", signals, lasts)
    if fires >= 2 * step:
        yield Scene("short", signals, max(step, fires // 2 // step * step))
    if fault.gaps:
        if fires >= 3 * step:
            halfway = max(step, fires // 2 // step * step)
            yield Scene("gap-before", signals, lasts, frozenset({halfway}))
        yield Scene("gap-while", signals, lasts, frozenset({fires + 2 * step}))
        away = fires + 2 * step
        yield Scene("restarted", signals, lasts, frozenset({away}), reset=away + step)
    reboot = frozenset(range(0, max(REBOOT_M, step), step))
    yield Scene("reboot", signals, 0, reboot, reset=max(reboot) + step)
    if any(signal.of_an_engine_or_gpu for signal in signals):
        yield Scene("renamed", signals, lasts, renamed=fires + 2 * step)
    if any(signal.counter for signal in signals):
        yield Scene("reset", signals, lasts, reset=fires + 2 * step)
    yield Scene("flaps", signals, lasts, flaps=FLAP_STEPS * step)
    yield Scene("alike", tuple(fault.alike.signals), lasts)


def series(scene: Scene, fault: Fault) -> Iterator[tuple[str, list[float | None]]]:
    """Yield each series with its values, one for each step; None is none."""
    minutes = range(-fault.before, fault.lasts + fault.after, fault.step)
    told = {(signal.name, signal.labels) for signal in scene.signals}
    beside = [each for each in ALWAYS if (each.name, each.labels) not in told]
    for signal in (*scene.signals, *beside):
        own = dict(signal.labels)
        moved = scene.renamed if signal.of_an_engine_or_gpu else None
        yield _name(signal, own, scene.host), _values(signal, scene, fault, minutes, moved)
        if moved is not None:
            new = own | {name: NEW[name] for name in own if name in NEW}
            well = attrs.evolve(scene, lasts=0)
            values = _values(signal, well, fault, minutes, None)
            since = [
                value if m >= moved else None for m, value in zip(minutes, values, strict=True)
            ]
            yield _name(signal, new, scene.host), since


def _values(
    signal: Signal, scene: Scene, fault: Fault, minutes: range, until: int | None
) -> list[float | None]:
    """Return what was scraped; `until` is when the series ends."""
    found: list[float | None] = []
    total = 0.0
    for minute in minutes:
        wrong = scene.wrong(minute, fault.step)
        value = signal.value(wrong)
        if minute == scene.reset:
            total = 0.0
        if signal.stamp and value is not None:
            value = fault.before * 60.0
        elif signal.counter and value is not None:
            total += value * fault.step
            value = total
        if minute in scene.missed:
            value = 0.0 if signal.name == "up" else None
        found.append(None if until is not None and minute >= until else value)
    return found


def _name(signal: Signal, labels: Mapping[str, str], host: str) -> str:
    pairs = [*labels.items(), ("instance", host)]
    return signal.name + "{" + ", ".join(f'{name}="{value}"' for name, value in pairs) + "}"
