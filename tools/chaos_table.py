"""The table of `make chaos` as docs/reliability.md has it."""

import json
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
explains it, of the engine beside it too.
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


def _line(name: str, of: Mapping[str, Mapping[str, Any]]) -> str:
    seen = next(row["landed"][0] for row in of.values() if row["landed"])
    causes = sorted({f"`{row['cause']}`" for row in of.values() if row["cause"]})
    lost = sum(row["lost_by_us"] for row in of.values())
    cells = [_cell(state, of.get(state)) for state in STATES]
    return f"| {name} | {_general(seen)} | {' | '.join(cells)} | {', '.join(causes)} | {lost} |"


def _general(seen: str) -> str:
    """Leave out what differs from row to row."""
    return seen.partition(":")[0] if seen.startswith("/proc") else seen


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
    yield (
        f"{len(rows)} rows: {count['alone']} of one fault, {count['twice']} of one twice in a row, "
        f"{count['pair']} of two different ones (drawn, seed {seed}); {len(pairs)} pairs of fault "
        f"and state that were seen from outside. All of it is in "
        f"[outcomes/chaos.json](outcomes/chaos.json)."
    )
    bad = [row for row in rows if row["wrong"]]
    if bad:
        yield "\nNot as expected:\n"
    for row in bad:
        yield f"- {row['state']}, {' and '.join(row['faults'])}: {'; '.join(row['wrong'])}"
