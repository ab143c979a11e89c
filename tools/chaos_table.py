"""The table of `make chaos` as docs/reliability.md has it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

STATES = (
    "starting",
    "loading",
    "ready",
    "draining",
    "stopping",
    "backoff",
    "held",
    "sleeping",
)
LIVE = ("loading", "ready", "sleeping")

HEAD = """
### Each fault in each state

`make chaos` makes each of these in each state that an engine can be in, on the stand-in. What
observes is no part of vllmd: a client of the engine, one of another engine beside it, a
Prometheus, `/proc`. A row counts only if something else than vllmd saw the fault. An engine comes
to where it would have come without the fault: `on` says that its run went on; seconds, that the
run ended, and when a client was served again after the fault (of an engine that slept: that it
sleeps again); `as asked`, that it ended as somebody had asked; `-`, that there is nothing in that
state to do it to. *Lost by vllmd* are requests that failed although neither the fault nor a wish
explains it, of the engine beside it too. Seconds are of two cores that other work kept busy (a load
of 20 to 35), with a pause of 1.5 s before a restart and `stall_s = 2`.
"""


def table(path: Path) -> Iterator[str]:
    """Yield the table of rows that were noted, if there are any."""
    if not path.exists():
        return
    noted = json.loads(path.read_text())
    rows: list[dict[str, Any]] = noted["rows"]
    alone = [row for row in rows if row["way"] == "alone"]
    yield HEAD
    yield f"| fault | seen by | {' | '.join(STATES)} | cause | lost by vllmd |"
    yield f"| {' | '.join(['---'] * (len(STATES) + 4))} |"
    for name in dict.fromkeys(row["faults"][0] for row in alone):
        of = {row["state"]: row for row in alone if row["faults"][0] == name}
        yield _line(name, of)
    yield ""
    yield from _rest(rows, noted["seed"])


BESIDE = """
### The same faults under supervisord and systemd

The same engine and the same client; an engine that serves. In each cell: *serves after* / *lost*,
requests of a client that asks five times a second, and waits 5 s for an answer / *left*, processes
that lived on and hang, or that nobody looks after.

- vllmd with a pause of 1.5 s before a restart, `stall_s = 2` and `hang_s = 5`;
- supervisord with `autorestart`, `stopasgroup` and `killasgroup`, which starts at once;
- the unit of blog posts: `Restart=on-failure`, `RestartSec=1`, and logrotate with `copytruncate`
  (every two seconds here). For systemd an end by SIGTERM is no failure, nor is an exit code of 0,
  which vLLM has when its EngineCore died;
- a unit with `Restart=always` and no other key.

The units ran in a booted Debian 12. The cores were busy, and not equally: a second more or less
says nothing. *The daemon* is what restarts the engine; `-`: systemd is process 1, to which the
kernel lets nobody do that. `make chaos-beside` makes it. Not run: process-compose, which neither
PyPI, npm nor Debian has.
"""


def beside(path: Path) -> Iterator[str]:
    """Yield what becomes of some faults under vllmd, and where something else is in its place."""
    if not path.exists():
        return
    rows = json.loads(path.read_text())
    names = list(dict.fromkeys(row["under"] for row in rows))
    of = {(row["under"], row["fault"]): row for row in rows}
    yield BESIDE
    yield f"| fault | {' | '.join(names)} |"
    yield f"| {' | '.join(['---'] * (len(names) + 1))} |"
    for fault in dict.fromkeys(row["fault"] for row in rows):
        yield f"| {fault} | {' | '.join(_beside(of[name, fault]) for name in names)} |"


def _beside(row: Mapping[str, Any]) -> str:
    if not row["landed"]:
        return "-"
    return f"{_after(row['serves_after_s'])} / {sum(row['lost'].values())} / {row['left']}"


def _after(seconds: float | None) -> str:
    if seconds is None:
        return "**not within 30 s**"
    return f"{seconds:.1f} s" if seconds else "served on"


def _line(name: str, of: Mapping[str, Mapping[str, Any]]) -> str:
    seen = next(row["landed"][0] for row in of.values() if row["landed"])
    causes = sorted({f"`{row['cause']}`" for row in of.values() if row["cause"]})
    lost = sum(row["lost_by_us"] for row in of.values())
    cells = [_cell(state, of.get(state)) for state in STATES]
    return f"| {name} | {_general(seen)} | {' | '.join(cells)} | {', '.join(causes)} | {lost} |"


def _general(seen: str) -> str:
    """Leave out what differs from row to row."""
    return "/proc" if "/proc" in seen else re.sub(r"^process \d+", "the library: a process", seen)


def _cell(state: str, row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["wrong"]:
        return "**not so**"
    if state in ("draining", "stopping"):
        return "as asked"
    if row["seen"].endswith("a new run"):
        after = row["serves_after_s"]
        return "sleeps again" if after is None else f"{after:.1f} s"
    return "on"


def _rest(rows: Sequence[Mapping[str, Any]], seed: int) -> Iterator[str]:
    """Say what became of the rows with two faults, and name the ones that are not as expected."""
    count = {way: sum(row["way"] == way for row in rows) for way in ("alone", "twice", "pair")}
    pairs = {(row["faults"][0], row["state"]) for row in rows if row["landed"]}
    words = {
        "alone": "of one fault",
        "twice": "of one twice in a row",
        "pair": f"of two different ones (drawn, seed {seed})",
    }
    ways = ", ".join(f"{count[way]} {text}" for way, text in words.items() if count[way])
    yield (
        f"{len(rows)} rows: {ways}; {len(pairs)} pairs of fault "
        f"and state that were seen from outside. All of it is in "
        f"`docs/outcomes/chaos.json`."
    )
    bad = [row for row in rows if row["wrong"]]
    if bad:
        yield "\nNot as expected:\n"
    for row in bad:
        yield f"- {row['state']}, {' and '.join(row['faults'])}: {'; '.join(row['wrong'])}"
