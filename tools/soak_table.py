"""What an hour of `make soak` gave, for docs/reliability.md."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEAD = """
### An hour of faults

`make soak`: eight engines of the stand-in, clients whose load changes, 200 spans a second, a
Prometheus that scrapes every 2 s, and a fault every ten seconds: signals to engines and shims,
reloads, and in the first half daemons that are killed or replaced. Two cores, which other work used
too. Failed requests are of engines that a fault had just hit.
"""


def table(path: Path) -> Iterator[str]:
    """Yield the section, if a soak was noted."""
    if not path.exists():
        return
    noted: dict[str, Any] = json.loads(path.read_text())
    yield HEAD
    yield "| what | in an hour |"
    yield "| --- | --- |"
    for what, found in _rows(noted):
        yield f"| {what} | {found} |"


def _rows(noted: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    faults, scrapes = noted["faults"], noted["scrapes"]
    others = {name: count for name, count in faults.items() if not name.startswith("SIG")}
    signals = sum(faults.values()) - sum(others.values())
    aside = ", ".join(f"{count} {name}" for name, count in others.items())
    unseen = len(noted["faults not seen"])
    yield (
        "faults",
        f"{sum(faults.values())}: {signals} signals, {aside}; {unseen} were not seen to land",
    )
    failed = ", ".join(f"{count:,} {what}" for what, count in noted["requests failed"].items())
    lost = sum(noted["requests lost by vllmd"].values())
    yield "requests", f"{noted['requests']:,}; {failed}; **{lost} lost by vllmd**"
    bad = scrapes["bad while a daemon was there"]
    yield "scrapes", f"{scrapes['all']:,}; {bad} bad while a daemon was there"
    half = noted["slopes a minute, second half"]
    memory = ", ".join(map(str, noted["pss_mb, each ten minutes"]))
    yield "memory of the daemon (PSS), each ten minutes", f"{memory} MB"
    grown = (
        f"{half['pss_mb']:.3f} MB (the goal: 0.05)",
        f"{half['descriptors']:.2f} descriptors",
        f"{half['series']:.1f} of {noted['last']['series']:,.0f} series",
        f"{half['database_kb']:.0f} kB of the history",
    )
    yield "growth a minute in the second half, of one daemon", ", ".join(grown)
