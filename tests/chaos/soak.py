"""`make soak`: hours in which something breaks every ten seconds; what grows, and what is lost.

Eight stand-in engines, clients whose load changes, 200 spans a second, a Prometheus that scrapes
every 2 s, reloads, and in the first half daemons that are killed or replaced. The slopes
of the second half, in which one daemon lives, are judged; those of the first are shown beside them.
"""

import argparse
import functools
import itertools
import json
import math
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from tests.chaos.client import OK
from tests.chaos.growth import FAST, Growth, slope
from tests.chaos.host_of_soak import SoakHost, soaking
from tests.helpers.otlp import export

OUT = Path(__file__).parents[2] / "build" / "soak.json"
NOTED = OUT.parent / "outcomes" / "soak.json"
"""The same without the samples: what docs/reliability.md tells of a whole hour."""
LOG = OUT.with_suffix(".log")
"""What the daemons logged."""
EVERY_S = 10.0
SAMPLE_S = 5.0
SPANS_A_SECOND = 200
MEMORY_MB_A_MINUTE = 0.05
SHOWN = 50
"""Of requests that were lost so many are shown, with what was done then."""
WHOLE_S = 3600
JUDGED_S = 1200
"""A shorter soak judges no slope of memory: for ten minutes the pages of so long are gathered, and
the keys of the last 8,192 spans."""


class Spans(threading.Thread):
    """Sends spans of all engines, four times a second, and counts the answers."""

    def __init__(self, host: SoakHost) -> None:
        super().__init__(daemon=True)
        self._host, self._done = host, threading.Event()
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        count = SPANS_A_SECOND // 4
        bodies = [export(count, engine=e).SerializeToString() for e in self._host.names]
        head = {"content-type": "application/x-protobuf"}
        for body in itertools.cycle(bodies):
            if self._done.wait(0.25):
                return
            try:
                answer = httpx.post(f"{self._host.site.otlp}/v1/traces", content=body, headers=head)
                self.answers[str(answer.status_code)] += 1
            except httpx.HTTPError as error:
                self.answers[type(error).__name__] += 1

    def close(self) -> None:
        self._done.set()
        self.join()


class Soak:
    """One soak: what is done, and what was seen."""

    def __init__(self, host: SoakHost, seconds: float, seed: int) -> None:
        self._host, self._drawn = host, random.Random(seed)
        self._begin, self._end = time.monotonic(), time.monotonic() + seconds
        self._half = self._begin + seconds / 2
        self.growth = Growth(host)
        self.done: Counter[str] = Counter()
        self.not_seen: list[str] = []

    def run(self) -> None:
        """Break something every ten seconds until the end."""
        due, sample = self._begin + EVERY_S, self._begin
        self._change_load()
        while (now := time.monotonic()) < self._end:
            if now >= sample:
                self.growth.sample(late=now > self._half)
                sample = now + SAMPLE_S
            if now >= due and now < self._end - 3 * EVERY_S:
                self._fault(late=now > self._half)
                due += EVERY_S
            time.sleep(0.2)

    def _fault(self, *, late: bool) -> None:
        host, drawn = self._host, self._drawn
        ways: dict[str, Callable[[], str]] = {
            f"{signal_.name} {which}": functools.partial(host.hurt, which, signal_)
            for signal_, which in FAST
        }
        ways |= {"reload": host.reload, "broken reload": host.reload_broken}
        if not late:
            ways |= {"kill of the daemon": host.kill_daemon, "upgrade": host.upgrade}
        name = drawn.choice(sorted(ways))
        self.done[name] += 1
        if not ways[name]():
            self.not_seen.append(name)
        if drawn.random() < 0.3:
            self._change_load()

    def _change_load(self) -> None:
        for client in self._host.clients.values():
            client.every_s = self._drawn.choice((0.2, 0.5, 1.0, 2.0))

    def report(self, spans: Counter[str]) -> dict[str, object]:
        """Return what is known at the end."""
        host = self._host
        asked = [e for client in host.clients.values() for e in client.outcomes]
        halves = {
            half: [each for each in self.growth.samples if each["late"] is late]
            for half, late in (("first", False), ("second", True))
        }
        lost = [{**each, **host.beside(each)} for each in host.lost_unhurt()]
        by = {who: [each for each in lost if each["by"] == who] for who in ("vllmd", "the host")}
        return {
            "seconds": round(self._end - self._begin),
            "faults": dict(self.done),
            "faults not seen": self.not_seen,
            "requests": len(asked),
            "requests failed": dict(Counter(e.what for e in asked if e.what != OK)),
            "requests lost by vllmd": counted(by["vllmd"]),
            "requests too late on a busy host": counted(by["the host"]),
            "each of them": lost[:SHOWN],
            "spans": dict(spans),
            "scrapes": host.scrapes(),
            **{f"slopes a minute, {half} half": slopes(found) for half, found in halves.items()},
            "pss_mb, each ten minutes": by_time(self.growth.samples, "pss_mb"),
            "first": self.growth.samples[0],
            "last": self.growth.samples[-1],
        }


def counted(lost: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many requests were lost, by engine and reason."""
    return dict(Counter(f"{each['engine']}: {each['what']}" for each in lost))


def slopes(samples: list[dict[str, Any]]) -> dict[str, float]:
    """Return by how much each figure grows in a minute."""
    keys = [key for key in samples[0] if key not in ("at", "late")] if samples else []
    return {key: round(slope(samples, key), 4) for key in keys}


def by_time(samples: list[dict[str, Any]], key: str) -> list[float]:
    """Return the median of a figure in each ten minutes."""
    first = samples[0]["at"]
    parts = itertools.groupby(samples, lambda each: (each["at"] - first) // 600)
    return [round(median(each[key] for each in part), 1) for _, part in parts]


def wrong(report: dict[str, object], seconds: float) -> list[str]:
    """Return what is not as it should be."""
    found = []
    if report["faults not seen"]:
        found.append(f"faults that nobody saw: {report['faults not seen']}")
    if report["requests lost by vllmd"]:
        found.append(f"requests lost by vllmd: {report['requests lost by vllmd']}")
    scrapes = report["scrapes"]
    if isinstance(scrapes, dict) and scrapes["bad while a daemon was there"]:
        found.append(f"scrapes failed: {scrapes}")
    slopes = report["slopes a minute, second half"]
    if isinstance(slopes, dict) and seconds >= JUDGED_S:
        grows = slopes["pss_mb"]
        if math.isnan(grows) or grows > MEMORY_MB_A_MINUTE:
            found.append(f"memory grows by {grows} MB a minute")
    return found


def soak(folder: Path, seconds: float, seed: int) -> dict[str, object]:
    """Run one in a folder of its own; returns the report, with all samples."""
    with soaking(folder) as host:
        spans, run = Spans(host), Soak(host, seconds, seed)
        spans.start()
        try:
            run.run()
        finally:
            spans.close()
        report = run.report(spans.answers)
        report["samples"] = run.growth.samples
        LOG.parent.mkdir(exist_ok=True)
        LOG.write_text(host.site.log())
    return report


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    ask.add_argument("--minutes", type=float, default=60)
    ask.add_argument("--seed", type=int, default=34)
    ask.add_argument("--out", type=Path, default=OUT)
    given = ask.parse_args()
    seconds = given.minutes * 60
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        report = soak(Path(folder), seconds, given.seed)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=1) + "\n")
    noted = json.dumps({key: report[key] for key in report if key != "samples"}, indent=1)
    print(noted)
    if seconds >= WHOLE_S:
        NOTED.parent.mkdir(exist_ok=True)
        NOTED.write_text(f"{noted}\n")
    found = wrong(report, seconds)
    print("\n".join(found) or "good")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
