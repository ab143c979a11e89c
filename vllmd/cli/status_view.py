"""What `vllmd status` shows of the status document, as lines for a terminal or a pipe.

On a terminal, what is said of an engine stands below its line, broken at the terminal's width. In
a pipe nothing is broken, and each line names its engine, so that grep finds it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Any

from vllmd.cli import engine_table, gpu_bar, terminal
from vllmd.cli.engine_table import Engine, share
from vllmd.engine.state_machine import State
from vllmd.engine.status_text import describe_log_problem
from vllmd.util.terminal_text import full_stop, one_line
from vllmd.util.units import DAY_S, GIB, format_bytes, format_duration

LATE_S = 1.0
LATE_MEANS = (
    "the host is overloaded, or vllmd was stopped; what is said of engines may be old, and none is "
    "judged by this time"
)
OLDER = "this daemon is older than this command: restart it to see alerts and GPUs"
SHOWS_ALL = "'vllmd status' shows all"
GPU_BAR, LEAST_BAR = 40, 4
LEAST_ALERTS = 3
ALERTS = "Alerts that apply ('vllmd runbook NAME' says what to do)"
SEVERITIES = {"critical": "red", "warning": "yellow", "info": "cyan"}

Told = tuple[str, str | None]
"""A text, and its colour."""


def report(document: Mapping[str, Any], now: float, columns: int | None) -> Iterator[str]:
    """Yield the lines; `columns` is None in a pipe, `now` in seconds since the epoch."""
    yield from _head(document, now)
    yield from _engines(document["engines"], now, columns, Detail.ALL)
    yield from _conditions(document, columns)
    yield from gpus(document, columns)


class Detail(Enum):
    """How much a screen has of all that is known, the most first."""

    ALL = "all"
    NOTES = "a line for each alert, GPU and engine's note"
    TABLE = "the same without notes"
    COUNTS = "the alerts counted, and engines that do not serve first"


def screen(document: Mapping[str, Any], now: float, columns: int, rows: int) -> list[str]:
    """Return the same for a screen of so many rows: the alerts below the head, and then the rest.

    It is as much as there is room for; the least can still be too much.
    """
    lines: list[str] = []
    for detail in Detail:
        lines = [*_screen(document, now, columns, rows, detail)]
        if len(lines) <= rows:
            break
    return lines


def _screen(
    document: Mapping[str, Any], now: float, columns: int, rows: int, detail: Detail
) -> Iterator[str]:
    yield from _head(document, now)
    engines = document["engines"]
    if detail is Detail.ALL:
        yield from _conditions(document, columns)
    elif detail is Detail.COUNTS:
        yield from _counted_conditions(document)
        engines = sorted(engines, key=lambda engine: engine["state"] == State.READY)
    else:
        yield from _short_conditions(document, columns, max(LEAST_ALERTS, rows // 3))
    yield from _engines(engines, now, columns, detail)
    yield from gpus(document, columns, short=detail is not Detail.ALL)
    if detail in (Detail.NOTES, Detail.TABLE):
        yield f"… shortened; {SHOWS_ALL}"


def _head(document: Mapping[str, Any], now: float) -> Iterator[str]:
    for text, colour in head(document["daemon"], now):
        yield from _told(text, colour)
    if "schema_version" not in document:
        yield from _told(OLDER, "yellow")


def head(daemon: Mapping[str, Any], now: float) -> Iterator[Told]:
    """Yield what is to be said of the daemon itself.

    An older one does not know all of it, and one of another host does not tell all of it.
    """
    host = f" on {daemon['host']}" if daemon.get("host") else ""
    pid = f" (pid {daemon['pid']})" if daemon.get("pid") else ""
    up = format_duration(now - daemon["started_at"])
    config = f", configuration {daemon['config'] or 'built in'}" if "config" in daemon else ""
    yield f"vllmd {daemon['version']}{host}{pid} up {up}{config}", None
    if daemon.get("late_s", 0.0) >= LATE_S:
        yield f"vllmd itself is late by {daemon['late_s']:.0f} s: {LATE_MEANS}", "yellow"
    if daemon["problem"]:
        yield daemon["problem"], "red"
    if daemon.get("web_config_problem"):
        yield daemon["web_config_problem"], "red"
    if daemon.get("disk_problem"):
        yield daemon["disk_problem"], "red"
    if daemon.get("traces_problem"):
        yield f"spans are not received: {daemon['traces_problem']}", "yellow"
    for part in daemon.get("failing", ()):
        yield _failing(part, now), "red"
    for name, pid in daemon.get("unconfigured", {}).items():
        ends = f"; 'kill {pid}' ends it" if pid else ""
        yield f"{name} runs and is not configured: it is not supervised{ends}", "yellow"


def _failing(part: Mapping[str, Any], now: float) -> str:
    ago = format_duration(now - part["failed_at"])
    again = f"retry in {format_duration(part['retry_at'] - now)}" if part["retry_at"] else ""
    return (
        f"part {part['part']} of vllmd failed, {part['failures']} in all, the last {ago} ago"
        f"{', ' * bool(again)}{again}: {part['problem']}; 'vllmd events --level error' has more"
    )


def _told(text: str, colour: str | None, *, indent: str = "", first: str = "") -> Iterator[str]:
    for part in text.split("\n"):
        for line in terminal.wrap(part, first=indent + first, rest=indent + " " * len(first)):
            yield terminal.style(line, fg=colour) if colour else line


def _engines(
    engines: Sequence[Engine], now: float, columns: int | None, detail: Detail
) -> Iterator[str]:
    if not engines:
        yield "no engine is configured; 'vllmd init' writes a first one"
        return
    if columns is not None and detail is not Detail.COUNTS:
        yield ""
    header, *rows = engine_table.lines(engines, now, columns)
    yield header
    for engine, row in zip(engines, rows, strict=True):
        yield row
        if columns is not None and detail is Detail.ALL:
            yield from below(engine, now)
        elif columns is not None and detail is Detail.NOTES:
            yield from note(engine, now, columns)
    if columns is None:
        for engine in engines:
            yield from (f"{engine['name']}: {text}" for text, _ in notes(engine, now))


def below(engine: Engine, now: float) -> Iterator[str]:
    """Yield what stands below an engine's line on a terminal."""
    if progress := loading(engine):
        yield f"  {terminal.style(progress, fg='yellow')}"
    for text, colour in notes(engine, now):
        quoted = text.startswith("  ")
        yield from _told(text.strip(), colour, indent="    " if quoted else "  ")


def note(engine: Engine, now: float, columns: int) -> Iterator[str]:
    """Yield the one line that says most of an engine, if there is anything to say."""
    first = [(text, colour) for text, colour in notes(engine, now)[:1]]
    reason, progress = engine.get("reason"), loading(engine)
    if reason:
        first = [(reason, "yellow")]
    if progress:
        first = [(progress, "yellow")]
    for text, colour in first:
        yield terminal.style(cut(f"  {text}", columns), fg=colour)


def cut(text: str, columns: int) -> str:
    """Return a text as one line that is no longer than a screen is wide."""
    line = one_line(text)
    return line if len(line) <= columns else f"{line[: columns - 1]}…"


def loading(engine: Engine) -> str:
    """Return how far a load has come, such as ``weights, 62%, 40s left``; nothing if none is."""
    phase, download = engine["phase"], engine.get("download")
    if not phase and not download:
        return ""
    said = [str(phase)] if phase else []
    if download:
        done, total = download["done_bytes"], download["total_bytes"]
        said.append(f"{share(done / total if total else 1)} of {format_bytes(total)} downloaded")
    elif engine.get("progress") is not None:
        said.append(share(engine["progress"]))
    if engine.get("start_left_s") is not None:
        said.append(f"{format_duration(engine['start_left_s'])} left")
    return ", ".join(said)


def notes(engine: Engine, now: float) -> list[Told]:
    """Return what needs attention, the most urgent first; two spaces begin what goes with it."""
    found = [*_now(engine), *_next_start(engine, now), *_last_exit(engine, now)]
    reason = engine.get("reason")
    if reason and not _is_told(engine, reason.rstrip(".")):
        found.insert(0, (full_stop(reason), "yellow"))
    return found


def _is_told(engine: Engine, reason: str) -> bool:
    """Tell whether a note says the reason, whole, or what follows its introduction."""
    hold, last = engine.get("hold") or {}, engine["last_exit"] or {}
    facts = [
        engine["problem"],
        hold.get("reason"),
        last.get("text"),
        (last.get("diagnosis") or {}).get("explanation"),
        *(doubt["found"] for doubt in engine.get("doubts", ())),
    ]
    told = [fact.rstrip(".") for fact in facts if fact]
    if engine["problem"] and engine.get("awaited_memory"):
        return True
    return any(
        reason == fact or reason.endswith(f": {fact}") or fact.startswith(f"{reason}: ")
        for fact in told
    )


def _now(engine: Engine) -> Iterator[Told]:
    """Yield what is known of the run that is under way, or wanted."""
    name = engine["name"]
    if engine["problem"]:
        yield engine["problem"], "red"
    if engine["command_changed"]:
        again = f"'vllmd restart {name}' brings the new one"
        yield f"runs with an older configuration; {again}", "yellow"
    if problem := (engine.get("weights") or {}).get("problem"):  # none of an older daemon
        yield f"its weights are not kept: {problem}", "yellow"
    for doubt in engine.get("doubts", ()):
        error = doubt["severity"] == "error"
        will = "will probably fail: " if error else ""
        colour = "red" if error else "yellow"
        yield f"{will}{full_stop(doubt['found'])} {doubt['fix']}", colour
        yield from ((f"  printed: {line}", None) for line in doubt.get("evidence", ())[:1])
    if problem := engine.get("log_problem"):
        yield describe_log_problem(problem, engine["log"]), "red"
    if printing := engine.get("printing"):
        yield f"prints: {printing}", None


def _next_start(engine: Engine, now: float) -> Iterator[Told]:
    now_please = f"'vllmd start {engine['name']}' starts it now"
    if hold := engine.get("hold"):
        yield f"held for {format_duration(now - hold['since'])}: {hold['reason']}", "red"
        retry_at = hold["retry_at"]
        again = f"retry in {format_duration(retry_at - now)}" if retry_at else "no more retries"
        yield f"{again}; {now_please}", None
    elif engine["next_start_at"]:
        yield f"restart in {format_duration(engine['next_start_at'] - now)}; {now_please}", None


def _last_exit(engine: Engine, now: float) -> Iterator[Told]:
    """Yield how it ended, in full while that matters; else a line on the day after."""
    last = engine["last_exit"]
    if not last or last["requested"]:
        return
    cause = f" ({last['diagnosis']['cause']})" if last.get("diagnosis") else ""
    said = f"last exit, {format_duration(now - last['at'])} ago{cause}: {last['text']}"
    if engine["state"] == State.READY or not engine.get("wanted", True):
        if now - last["at"] < DAY_S:
            yield f"{said} ('vllmd why {engine['name']}')", None
        return
    yield said, None
    yield from _why(last, (engine.get("hold") or {}).get("reason", ""))
    first = engine.get("first_failure")
    if first and first["run_id"] != last["run_id"]:
        same = first.get("diagnosis") == last.get("diagnosis")
        began = f"the failures began {format_duration(now - first['at'])} ago"
        cause = (first.get("diagnosis") or {}).get("cause", "unknown")
        yield f"{began}, with the same cause" if same else f"{began} ({cause}):", None
        yield from () if same else _why(first)


def _why(end: Mapping[str, Any], said: str = "") -> Iterator[Told]:
    """Yield the cause of an end, and the line that shows it; `said` is what was told of it."""
    found = end.get("diagnosis")
    if found is None:
        return
    if found["explanation"] not in said:
        yield f"  {found['explanation']} {found['advice']}", "red"
    yield from ((f"  printed: {line}", None) for line in found.get("evidence", ())[:1])


def _conditions(document: Mapping[str, Any], columns: int | None) -> Iterator[str]:
    """Yield which alerts have their condition now; whether one was sent, Prometheus knows.

    The reasons of engines stand below their lines already.
    """
    conditions = document.get("conditions", ())
    if not conditions:
        return
    if columns is not None:
        yield ""
    yield terminal.style(ALERTS, bold=True)
    reasons = [engine["reason"] for engine in document["engines"] if engine.get("reason")]
    for each in conditions:
        colour = SEVERITIES.get(each["severity"])
        text = each["text"]
        for reason in reasons:
            text = text.removesuffix(f": {reason}")
        yield from _told(f"{each['alert']}: {text}", colour, indent="  ")


def _short_conditions(document: Mapping[str, Any], columns: int, most: int) -> Iterator[str]:
    """Yield a line for each of the gravest alerts, and how many more there are."""
    conditions = document.get("conditions", ())
    if not conditions:
        return
    yield ""
    yield terminal.style(cut(ALERTS, columns), bold=True)
    shown = conditions if len(conditions) <= most else conditions[: most - 1]
    for each in shown:
        line = cut(f"  {each['alert']}: {each['text']}", columns)
        yield terminal.style(line, fg=SEVERITIES.get(each["severity"]))
    if missing := len(conditions) - len(shown):
        yield f"  … {missing} more: 'vllmd status' names them"


def _counted_conditions(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield how often each alert applies, in the colour of the gravest one."""
    conditions = document.get("conditions", ())
    counts = Counter(each["alert"] for each in conditions)
    said = ", ".join(f"{alert} ({count})" for alert, count in counts.items())
    said = said or ("none" if "conditions" in document else "not known")
    colour = SEVERITIES.get(conditions[0]["severity"]) if conditions else None
    yield from _told(f"{said}; {SHOWS_ALL}", colour, first="Alerts: ")


def gpus(document: Mapping[str, Any], columns: int | None, *, short: bool = False) -> Iterator[str]:
    """Yield the GPUs, and why they cannot be read; nothing on a host that has none.

    With `short` a GPU is one line, which has its owners if there is room for them.
    """
    gpus, reader = document.get("gpus", ()), document.get("gpu_reader") or {}
    problem, mismatch = reader.get("problem"), reader.get("driver_mismatch")
    if not gpus and not mismatch:
        return
    if columns is not None:
        yield ""
    demo = " (a demonstration: they do not exist)" if reader.get("source") == "demo" else ""
    yield terminal.style(f"GPUs{demo}", bold=True)
    if mismatch:
        yield from _told(f"driver changed: {mismatch}", "red", indent="  ")
    if problem:
        yield from _told(f"no readings: {problem}", "red", indent="  ")
    for gpu in gpus:
        yield from islice(_gpu(gpu, columns, document.get("at")), 1 if short else None)


def _gpu(gpu: Mapping[str, Any], columns: int | None, now: float | None) -> Iterator[str]:
    title = f"{gpu['gpu']}  "
    if gpu["lost"]:
        lost = f"{title}{gpu['name']} cannot be read: {gpu['lost'].replace('_', ' ')}"
        if now is not None and gpu.get("lost_since") is not None:  # older daemons do not tell
            lost += f", for {format_duration(now - gpu['lost_since'])}"
        yield from _told(lost, "red", indent="  ")
        return
    total, used = gpu["memory_total_bytes"], gpu["memory_used_bytes"]
    words = [] if total is None else [f"{(used or 0) / GIB:.1f} of {total / GIB:.1f} GiB"]
    activity = "  ".join([*words, *_activity(gpu)])
    held = [each for each in gpu["owners"] if each["owner"] != "free"]
    beside = len(title) + len(activity) + 4
    room = GPU_BAR if columns is None else min(GPU_BAR, max(LEAST_BAR, columns - beside))
    bar = f"{gpu_bar.bar(gpu['owners'], room)}  " if gpu["owners"] else ""
    owners, plain = gpu_bar.in_colours(held), gpu_bar.in_words(held)
    if columns is None or beside + room + len(plain) + 2 <= columns:
        yield f"  {title}{bar}{activity}{'  ' + owners if owners else ''}"
        return
    yield f"  {title}{bar}{activity}"
    indent = " " * (len(title) + 2)
    yield from (f"{indent}{line}" for line in gpu_bar.in_lines(held, columns - len(indent)))


def _activity(gpu: Mapping[str, Any]) -> Iterator[str]:
    if gpu["busy_ratio"] is not None:
        yield f"busy {gpu['busy_ratio']:.0%}"
    if gpu["power_watts"] is not None:
        limit = gpu["power_limit_watts"]
        yield f"{gpu['power_watts']:.0f}{f'/{limit:.0f}' if limit else ''} W"
    if gpu["temperature_celsius"] is not None:
        yield f"{gpu['temperature_celsius']:.0f} °C"
