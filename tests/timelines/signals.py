"""Series by the minute: what each shows while all is well, and while something is not."""

from collections.abc import Callable, Sequence

import attrs

Labels = tuple[tuple[str, str], ...]
Values = Callable[[int], float | None]
"""What a series shows, by the minutes that something has been wrong; 0 is well."""


@attrs.frozen
class Signal:
    """One series of a host. A counter's values are what is added in a minute."""

    name: str
    labels: Labels
    value: Values
    counter: bool = False
    stamp: bool = False
    """Whether it shows when the fault began, in seconds, and nothing before."""

    @property
    def of_an_engine_or_gpu(self) -> bool:
        """Whether it ends when an engine is renamed, or a GPU replaced."""
        return bool({"vllmd_engine", "uuid"} & {name for name, _ in self.labels})


def gauge(name: str, well: float | None, bad: float | None, **labels: str) -> Signal:
    """Return one that has a value, or none, while all is well, and another one while not."""
    return Signal(name, tuple(labels.items()), lambda minutes: bad if minutes else well)


def rising(name: str, well: float, by: float, **labels: str) -> Signal:
    """Return one that rises by so much a minute while something is wrong."""
    return Signal(name, tuple(labels.items()), lambda minutes: well + by * minutes)


def shaped(name: str, value: Values, **labels: str) -> Signal:
    """Return one of any shape."""
    return Signal(name, tuple(labels.items()), value)


def brief(name: str, well: float, bad: float, minutes: int, **labels: str) -> Signal:
    """Return one that is wrong for some minutes only, and then well by itself."""
    return shaped(name, lambda m: bad if 0 < m <= minutes else well, **labels)


def counter(name: str, well: float, bad: float, **labels: str) -> Signal:
    """Return one that grows by so much a minute."""
    return Signal(name, tuple(labels.items()), lambda m: bad if m else well, counter=True)


def bursts(name: str, once: float, **labels: str) -> Signal:
    """Return a counter that grows in the first minute of a fault only."""
    return Signal(name, tuple(labels.items()), lambda m: once if m == 1 else 0.0, counter=True)


def stamp(name: str, **labels: str) -> Signal:
    """Return one that shows when the fault began, while it lasts."""
    return Signal(name, tuple(labels.items()), lambda m: 0.0 if m else None, stamp=True)


@attrs.frozen
class Alike:
    """What looks like the fault of an alert and is none."""

    what: str
    signals: Sequence[Signal]


@attrs.frozen
class Fault:
    """What an alert is for. All times are in minutes."""

    alert: str
    what: str
    signals: Sequence[Signal]
    alike: Alike
    lasts: int = 60
    before: int = 20
    after: int = 60
    step: int = 1
    """How far apart samples and evaluations are."""
    gaps: bool = True
    """Whether a scrape that fails is to change nothing; not where it is the fault itself."""
    flapping: str = ""
    """Why nobody need be told by this alert where the fault comes and goes, or who tells."""
    once: bool = False
    """Whether it is one thing that happened: it is told for a while, however long it lasts."""
