"""What each alert does through its fault, from dashboards/tests/timelines.json."""

import json
from pathlib import Path
from typing import Any

from tests.integration.causes.table import PROVOKED
from tools.reference.markdown import page, plain, table
from vllmd.monitoring.alerts import ALERTS, every_alert
from vllmd.monitoring.settings import RuleSettings

KEPT = Path(__file__).parents[2] / "dashboards" / "tests" / "timelines.json"
ABOUT = """\
What each alert does through the fault that it is for, minute by minute, as promtool evaluates it
with samples a minute apart. `make timelines` plays them; a test plays them again, and an alert
without its timelines fails it. All times are in minutes.

- *fires after*: from the first scrape that shows the fault, `for` included.
- *a short one*: a fault of so many minutes, half as long as it takes to fire: nobody is told.
- *over after*: from the first scrape that shows that all is well; of what happens once, how long
  it is told.
- *one failed scrape*: half-way before it fires it delays nothing, and while it fires it does not
  end it.
- *a reboot*: a well host is away for six minutes, and its counters begin anew: nobody is told,
  but that it is away.
- *renamed*: the engine has another name, or the GPU was exchanged, in the middle of the fault:
  over after so many.
- *counters anew*: the daemon was upgraded in the middle of the fault: it goes on being told.
- *daemon restarted*: one scrape fails, and its counters begin anew: it goes on being told.
- *comes and goes*: two minutes there, two minutes not, and so on. Told once and not each time, or
  why this alert need not tell.
- *looks alike*: what must not fire, and does not.

An empty cell: there is no such thing for this alert.
"""
PROVOKED_ABOUT = """\
So each alert is provoked by a test (`tests/integration/causes`): all rules are asked about the page
that comes of it, on a clock of its own, and Alertmanager, as `etc/` configures it, has to keep
every other alert quiet.
"""


def timelines() -> str:
    """Return the page."""
    kept: dict[str, Any] = json.loads(KEPT.read_text())
    parts = []
    for name, make in ALERTS.items():
        rows = [_row(a.name, kept[a.name]) for a in make(RuleSettings()).alerts if a.name in kept]
        parts += [f"## {name.capitalize()}", table(HEAD, rows)]
    done = [
        [f"[{alert.name}](../runbooks/{alert.name}.md)", plain(PROVOKED[alert.name])]
        for alert in every_alert()
        if alert.name in PROVOKED
    ]
    parts += ["## On a running system", PROVOKED_ABOUT, table(("alert", "what is done"), done)]
    return page("Timelines of alerts", ABOUT, parts)


HEAD = (
    "alert: its fault",
    "a short one",
    "fires after",
    "over after",
    "one failed scrape",
    "a reboot",
    "renamed",
    "counters anew",
    "daemon restarted",
    "comes and goes",
    "looks alike",
)


def _row(name: str, told: dict[str, Any]) -> list[str]:
    scenes = told["scenes"]
    first, last, minutes = scenes["fires"]
    over = minutes if told["once"] else last + told["step"] - told["lasts"]
    return [
        f"[{name}](../runbooks/{name}.md): {plain(told['what'])}",
        f"{told['short']}: {_silence(scenes['short'])}" if told["short"] else "",
        str(first),
        f"{over} (told so long)" if told["once"] else str(over),
        _gaps(scenes, first),
        _silence(scenes["reboot"]),
        _renamed(told) if "renamed" in scenes else "",
        _goes_on(scenes["reset"], first) if "reset" in scenes else "",
        _goes_on(scenes["restarted"], first) if "restarted" in scenes else "",
        _flaps(told),
        f"{plain(told['alike'])}: {_silence(scenes['alike'])}",
    ]


def _silence(firing: list[int] | None) -> str:
    return "silent" if firing is None else f"fires after {firing[0]}"


def _goes_on(firing: list[int] | None, first: int) -> str:
    if firing is None:
        return "**silent**"
    return "goes on" if firing[0] == first else f"goes on, {firing[0]}"


def _flaps(told: dict[str, Any]) -> str:
    if told["flapping"]:
        return plain(told["flapping"])
    found = told["scenes"]["flaps"]
    return "silent" if found is None else f"told after {found[0]}"


def _gaps(scenes: dict[str, Any], first: int) -> str:
    if "gap-while" not in scenes:
        return ""
    before = f"{scenes['gap-before'][0]}; " if "gap-before" in scenes else ""
    begun, last, minutes = scenes["gap-while"]
    broken = last - begun + 1 > minutes + 1 and scenes["fires"][2] != minutes
    return f"{before}{'**ends**' if broken else _goes_on(scenes['gap-while'], first)}"


def _renamed(told: dict[str, Any]) -> str:
    firing = told["scenes"]["renamed"]
    if firing is None:
        return "silent"
    return str(firing[1] + told["step"] - told["renamed"])
