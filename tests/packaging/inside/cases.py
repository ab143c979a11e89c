"""How a case is run and becomes a row of the table, and what several cases demand."""

import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .load import Load
from .tools import left, ready, sh, show, until

ROWS = "/opt/t/rows.json"
BRIEF = os.environ.get("BRIEF") == "1"
rows: list[dict[str, Any]] = []


def load_rows() -> None:
    """Go on with the table that was begun before a reboot."""
    with open(ROWS) as file:
        rows.extend(json.load(file))


@dataclass(frozen=True)
class Case:
    """What is done and asserted; `function` notes in its row what was measured.

    With BRIEF, the containers have run the same before: one that shows nothing of the kernel, and
    so is not to be run `again`, is only named.
    """

    title: str
    function: Callable[[dict[str, Any]], None]
    again: bool = True


def run(case: Case) -> None:
    """Run a case and note what came of it."""
    row: dict[str, Any] = {"case": case.title, "ok": True}
    started = time.monotonic()
    try:
        if BRIEF and not case.again:
            row["not_run"] = "it was in the containers"
        else:
            case.function(row)
    except Exception:
        row.update(ok=False, error=traceback.format_exc())
        row["journal"] = sh("journalctl --no-pager -o cat -n 60 -u 'vllmd*'")
    row["seconds"] = round(time.monotonic() - started, 1)
    rows.append(row)
    print(row["ok"], row["seconds"], case.title, flush=True)  # for whoever watches the console
    with open(ROWS, "w") as file:
        json.dump(rows, file)


def serves_on(row: dict[str, Any], fault: Callable[[], object], *, orderly: bool) -> None:
    """Do something to the daemon under load: no failure, and the same engine after it.

    No request may fail, no scrape and no span may be refused. A daemon that is killed cuts what it
    had already accepted; one that ends in an orderly way may not even do that.
    """
    before, daemon = ready(), show("vllmd-daemon", "MainPID")
    with Load() as load:
        fault()
        until(
            "another daemon",
            lambda: (
                show("vllmd-daemon", "MainPID") not in ("0", daemon)
                and show("vllmd-daemon", "ActiveState") == "active"
            ),
        )
        after = ready()
    row.update(requests=load.requests, scrapes=load.scrapes, spans=load.spans)
    row.update(failed=len(load.failed))
    row.update(cut=len(load.cut))
    assert load.failed == [], load.failed
    assert not (orderly and load.cut), load.cut
    assert load.requests > 0
    assert load.scrapes > 0
    assert load.spans > 0
    assert (after["run_id"], after["pid"]) == (before["run_id"], before["pid"])
    assert after["adopted"]
    assert sh("pgrep -fc vllmd/shim/__main__") == "1"


def stops_all(row: dict[str, Any], command: str = "systemctl stop vllmd") -> None:
    started = time.monotonic()
    sh(command)
    row["stop_s"] = round(time.monotonic() - started, 1)
    row["left"] = left()
    assert row["left"] == []
