"""Real pages on a clock of a test's own: what all alerts make of them, by promtool.

A page is scraped when something has been done to what runs. How long it stays so, or that it goes
on as it did between two pages, is said and not waited for.
"""

import bisect
import math
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Self

import attrs
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.site import Site, wait_for
from tests.timelines.evaluation import Told, evaluate
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.settings import RuleSettings

JOB = "vllmd"
OURS = ("vllmd_", "http_requests_total")
PATIENCE_S = 90.0
SINCE = "_timestamp_seconds"
AGE = "_silent_seconds"
"""What is so old goes on with the clock, too."""
_COUNTS = ("_total", "_count", "_sum", "_bucket")


@cache
def _asked_for() -> frozenset[str]:
    rules = [
        r for g in (RECORDS, ALERTS) for make in g.values() for r in make(RuleSettings()).rules
    ]
    texts = [f"{rule.expr} {getattr(rule, 'why', '')}" for rule in rules]
    return frozenset(re.findall(r"[a-zA-Z_:][\w:]*", " ".join(texts)))


@attrs.frozen
class Page:
    """One scrape: values by their name with its labels; None if it failed."""

    at: float
    values: Mapping[str, float] | None


class PlayedPages:
    """Pages of one host, minute by minute."""

    def __init__(self, made: Site, host: str) -> None:
        self._made = made
        self.host = host
        self._pages: list[Page] = []
        self._rows: list[Mapping[str, float] | None] = []
        """What each minute's scrape shows."""
        self._began: list[int] = []
        """The minute in which each page was first seen."""
        self._waited_for: Mapping[str, float] | None = None

    # --- what is scraped ---------------------------------------------------------------------

    def look(self, minutes: int = 1) -> Self:
        """Take the page, which stays so for some minutes: the one waited for, or as it is now."""
        page = self._waited_for or wait_for("a page", self._scrape, PATIENCE_S)
        self._waited_for = None
        return self._add(Page(time.time(), page), minutes)

    def begin_anew(self) -> Self:
        """Forget what was scraped so far, but not a page that was waited for."""
        for each in (self._pages, self._rows, self._began):
            each.clear()
        return self

    def away(self, minutes: int) -> Self:
        """Let scrapes fail, as one does now: nobody listens there."""
        with pytest.raises(httpx.ConnectError):
            self._made.metrics()
        return self._add(Page(time.time(), None), minutes)

    def go_on(self, minutes: int) -> Self:
        """Let counts go on as they did between the last two pages, in a minute each."""
        before, last = self._pages[-2].values, self._pages[-1].values
        assert before is not None
        assert last is not None
        more = {
            name: value - before.get(name, 0.0)
            for name, value in last.items()
            if name.partition("{")[0].endswith(_COUNTS) and value > before.get(name, 0.0)
        }
        assert more, "nothing was counted between the last two pages"
        for n in range(1, minutes + 1):
            grown = {name: value + n * more.get(name, 0.0) for name, value in last.items()}
            self._rows.append(grown)
        return self

    def until(self, sample: str, value: float | None) -> Self:
        """Wait until a sample, named with some of its labels, has that value; None is any but 0."""

        def shows(found: list[float]) -> bool:
            return value in found if value is not None else any(found)

        return self._until(f"{sample} {value}", sample, shows)

    def until_above(self, sample: str, bound: float) -> Self:
        """Wait until the sum of such samples is above a bound."""
        return self._until(f"{sample} above {bound}", sample, lambda found: sum(found) > bound)

    def until_below(self, sample: str, bound: float) -> Self:
        """Wait until the sum of such samples, of which there are some, is below a bound."""
        return self._until(
            f"{sample} below {bound}", sample, lambda found: bool(found) and sum(found) < bound
        )

    def value(self, sample: str) -> float:
        """Return the sum of such samples on the page as it is now."""
        return sum(_found(wait_for("a page", self._scrape, PATIENCE_S), sample))

    def _until(self, what: str, sample: str, right: Callable[[list[float]], bool]) -> Self:
        def page() -> Mapping[str, float] | None:
            shown = self._scrape()
            return shown if shown is not None and right(_found(shown, sample)) else None

        self._waited_for = wait_for(what, page, PATIENCE_S)
        return self

    def _add(self, page: Page, minutes: int) -> Self:
        self._pages.append(page)
        self._began.append(len(self._rows))
        self._rows += [page.values] * minutes
        return self

    def _scrape(self) -> Mapping[str, float] | None:
        try:
            text = self._made.metrics()
        except httpx.TransportError:
            return None
        return {
            _named(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith(OURS) and not math.isnan(sample.value)
        }

    # --- what is made of it ------------------------------------------------------------------

    def told(self, folder: Path, settings: RuleSettings | None = None) -> list[Told]:
        """Return what fires in the last minute."""
        (found,) = evaluate(self.series(), [len(self._rows) - 1], folder, settings=settings)
        return found

    def told_meanwhile(self, folder: Path) -> set[str]:
        """Return the names of what fires in any minute."""
        found = evaluate(self.series(), range(len(self._rows)), folder)
        return {told.name for minute in found for told in minute}

    def series(self) -> dict[str, list[float | None]]:
        """Return what was scraped: of each series a value for each minute."""
        series: dict[str, list[float | None]] = {}
        for minute, values in enumerate(self._rows):
            row = {"up": float(values is not None), **(values or {})}
            for name, value in row.items():
                if name.partition("{")[0] not in _asked_for():
                    continue
                each = series.setdefault(self._of_host(name), [None] * len(self._rows))
                each[minute] = self._at(minute, name.partition("{")[0], value)
        return series

    def _at(self, minute: int, family: str, value: float) -> float:
        """Return what a page's figure is in a minute of the clock that is played."""
        if not value > 0:
            return value
        if family.endswith(SINCE):
            return self._moved(value)
        if family.endswith(AGE):
            return value + 60.0 * (minute - self._began[bisect.bisect(self._began, minute) - 1])
        return value

    def _moved(self, at: float) -> float:
        """Return a time of the host on the clock that is played, in seconds."""
        number = bisect.bisect_left([page.at for page in self._pages], at)
        if number == 0:
            return at - self._pages[0].at
        return 60.0 * self._began[min(number, len(self._pages) - 1)]

    def _of_host(self, name: str) -> str:
        family, _, labels = name.rstrip("}").partition("{")
        more = [f'instance="{self.host}"', f'job="{JOB}"', *([labels] if labels else [])]
        return f"{family}{{{','.join(more)}}}"


def _found(page: Mapping[str, float], sample: str) -> list[float]:
    name, _, labels = sample.rstrip("}").partition("{")
    wanted = set(filter(None, labels.split(",")))
    return [
        value
        for each, value in page.items()
        if each.partition("{")[0] == name
        and wanted <= set(each.rstrip("}").partition("{")[2].split(","))
    ]


def _named(name: str, labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
    return f"{name}{{{inner}}}" if inner else name


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
