"""What the tabs of `vllmd top` show, as rows: the lines are those of the commands."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vllmd.cli import cost as cost_command
from vllmd.cli import engine_table, gpu, status_view, terminal, traces
from vllmd.cli import events as events_command
from vllmd.cli.engine_table import Engine, colour, gibibytes, number, share
from vllmd.cli.screen.feeds import Feed, Feeds
from vllmd.cli.screen.graph import bars, series_of
from vllmd.cli.screen.hosts import Host
from vllmd.cli.screen.lines import Row, plain, text_of
from vllmd.engine.state_machine import State
from vllmd.eventlog.bus import Event
from vllmd.util.units import GIB, format_duration

GRAPH_FROM, GRAPH = 108, 24
"""A table that is so wide has a graph beside it, of so many columns."""
OLD_S = 5.0
"""After so long without an answer what is shown is called old."""
MOST_SPARE = 100
"""So many rows that are not shown any more may be kept."""
NOT_HERE = "only its own host tells this: run 'vllmd top' there"
_SEVERITIES = ("critical", "warning", "info")
_URGENCY = ("red", "yellow", None, "green")


def _figure(name: str) -> Any:
    return lambda engine: -(engine.get(name) or 0)


SORTS: Mapping[str, Any] = {
    "configuration": lambda _: 0,
    "state": lambda e: _URGENCY.index(colour(e)),
    "tokens/s": _figure("tokens_per_s"),
    "waiting": _figure("requests_waiting"),
    "TTFT": _figure("ttft_p95_s"),
    "KV": _figure("kv_cache_usage"),
    "VRAM": _figure("gpu_memory_bytes"),
    "restarts": _figure("restarts"),
}
"""What engines can be sorted by; each is what is to be smallest first."""
REQUEST_SORTS: Mapping[str, str] = {
    "time in all": "e2e",
    "time to first token": "time_to_first_token",
    "time per token": "time_per_output_token",
    "time in the queue": "queue",
}


# --- above the tabs ------------------------------------------------------------------------------


def title(hosts: Sequence[Host], columns: int, monotonic: float, wall: float) -> str:
    """Return the first line: which daemon, and whether this is now."""
    known = [host for host in hosts if host.document]
    if len(hosts) == 1 and known:
        daemon = known[0].document["daemon"] if known[0].document else {}
        up = format_duration(known[0].now - daemon["started_at"])
        left = f"vllmd {daemon['version']} on {known[0].label}, up {up}"
    else:
        left = f"vllmd top: {len(known)} of {len(hosts)} daemons" if len(hosts) > 1 else "vllmd top"
    clock = time.strftime("%H:%M:%S", time.localtime(wall))
    old = max((host.age_s(monotonic) for host in hosts), default=0.0)
    late = old >= OLD_S or any(host.problem for host in hosts)
    away = sum(host.problem is not None for host in hosts)
    age = f"{format_duration(max(1.0, old))} old" if known else "no answer"
    if len(hosts) > 1 and away:
        age = f"{away} do not answer" if away > 1 else "1 does not answer"
    right = f"{age if late else 'live'}  {clock}"
    left = status_view.cut(left, max(10, columns - len(right) - 1))
    gap = " " * max(1, columns - len(left) - len(right))
    colour = "red" if late else "green"
    return f"{terminal.style(left, bold=True)}{gap}{terminal.style(right, fg=colour)}"


def problems(hosts: Sequence[Host], columns: int, monotonic: float) -> Iterator[str]:
    """Yield what is to be said of the daemons: who does not answer, and what is wrong with them."""
    with terminal.of_width(columns):
        for host in hosts:
            if host.problem:
                old = format_duration(max(1.0, host.age_s(monotonic)))
                said = f"this is {old} old: {host.problem}" if host.document else host.problem
                yield from (terminal.style(t, fg="red", bold=True) for t in terminal.wrap(said)[:3])
            if host.document is None:
                continue
            _, *more = status_view.head(host.document["daemon"], host.now)
            if "schema_version" not in host.document:
                more.append((status_view.OLDER, "yellow"))
            for told, colour in more:
                yield terminal.style(status_view.cut(told, columns), fg=colour)


def totals(hosts: Sequence[Host], columns: int) -> str:
    """Return all engines and GPUs in one line, as much of it as there is room for."""
    engines = [e for host in hosts for e in (host.document or {}).get("engines", ())]
    gpus = [g for host in hosts for g in (host.document or {}).get("gpus", ())]
    ready = sum(engine["state"] == State.READY for engine in engines)
    running = sum(engine.get("requests_running") or 0 for engine in engines)
    waiting = sum(engine.get("requests_waiting") or 0 for engine in engines)
    said = [f"{ready} of {len(engines)} ready", f"{running} running, {waiting} waiting"]
    rates = [e["tokens_per_s"] for e in engines if e.get("tokens_per_s") is not None]
    if rates:
        said.append(f"{number(sum(rates))} tokens/s")
    total = sum(each.get("memory_total_bytes") or 0 for each in gpus)
    if total:
        used = sum(each.get("memory_used_bytes") or 0 for each in gpus)
        said.append(f"{used / GIB:.0f} of {total / GIB:.0f} GiB")
    watts = [each["power_watts"] for each in gpus if each.get("power_watts") is not None]
    if watts:
        said.append(f"{sum(watts):,.0f} W")
    while len(said) > 1 and len(" · ".join(said)) > columns:
        said.pop()
    return " · ".join(said)


# --- engines -------------------------------------------------------------------------------------


def engine_key(index: int, name: str) -> str:
    """Return the key of an engine's row; `split_key` reads it."""
    return f"{index}/{name}"


def split_key(key: str) -> tuple[int, str]:
    """Return which host, and which engine."""
    index, _, name = key.partition("/")
    return int(index), name


def engines(
    hosts: Sequence[Host], columns: int, sort: str, wanted: str
) -> tuple[list[Row], list[str]]:
    """Return a row for each engine, and the header; hosts stay apart."""
    chosen = [
        (i, host, engine) for i, host in enumerate(hosts) for engine in _of(host, sort, wanted)
    ]
    graph = GRAPH if columns >= GRAPH_FROM and any(host.series for host in hosts) else 0
    now = max((host.now for host in hosts), default=0.0)
    listed = [_moved(engine, now - host.now) for _, host, engine in chosen]
    header, *lines = engine_table.lines(listed, now, columns - graph - 2 * bool(graph))
    width = max(text_of(line).cell_len for line in (header, *lines))
    if graph:
        graph = max(graph, min(2 * graph, columns - width - 2))
        header += " " * (width - text_of(header).cell_len + 2)
        header += terminal.style("TOK/S, 10 MINUTES", bold=True)
    rows: list[Row] = []
    for (index, host, engine), line in zip(chosen, lines, strict=True):
        if len(hosts) > 1 and (not rows or split_key(rows[-1].key or "0/")[0] != index):
            rows += plain(terminal.style(_host_line(host), bold=True))
        beside = ""
        if graph:
            beside = " " * (width - text_of(line).cell_len + 2) + _spark(host, engine, graph)
        below = tuple(status_view.note(engine, host.now, columns))
        key = engine_key(index, engine["name"])
        rows.append(Row((line + beside, *below), key, engine, width if graph else None))
    return rows, [header]


def _of(host: Host, sort: str, wanted: str) -> list[Engine]:
    found = [
        engine
        for engine in (host.document or {}).get("engines", ())
        if wanted.casefold() in _words(engine).casefold()
    ]
    return sorted(found, key=SORTS[sort])


def _words(engine: Engine) -> str:
    return " ".join((engine["name"], engine["state"], engine["model"], *engine["served_names"]))


def _moved(engine: Engine, by_s: float) -> Engine:
    """Return an engine with its times by another host's clock: a table has one time."""
    if not by_s:
        return engine
    last = engine["last_exit"]
    moved = last and {**last, "at": last["at"] + by_s}
    return {**engine, "since": engine["since"] + by_s, "last_exit": moved}


def _host_line(host: Host) -> str:
    return host.label if not host.problem else f"{host.label} (does not answer)"


def _spark(host: Host, engine: Engine, width: int) -> str:
    key = ("spark", engine["name"], width)
    if key not in host.drawn:
        series = host.engine_series(engine["name"])
        values = series_of(series, "tokens_per_s", host.series_at, width)
        top = max((value for value in values if value is not None), default=0.0)
        host.drawn[key] = (terminal.style(bars(values, top)[0], fg="cyan"),)
    return host.drawn[key][0]


def gpu_bars(hosts: Sequence[Host], columns: int) -> list[Row]:
    """Return a line for each GPU, for below the engines."""
    lines: list[str] = []
    with terminal.of_width(columns):
        for host in hosts:
            drawn = [*status_view.gpus(host.document or {}, columns, short=True)]
            if len(hosts) > 1 and drawn:
                drawn[1] = terminal.style(f"GPUs of {host.label}", bold=True)
            lines += drawn
    return plain(*lines)


def alerts(hosts: Sequence[Host], columns: int, most: int) -> list[str]:
    """Return a line for each of the gravest alerts that apply, below a title."""
    found = [
        (each, f"{host.label}: " if len(hosts) > 1 else "")
        for host in hosts
        for each in (host.document or {}).get("conditions", ())
    ]
    if not found:
        return []
    found.sort(key=lambda each: _SEVERITIES.index(each[0]["severity"]))
    lines = [terminal.style(status_view.cut(status_view.ALERTS, columns), bold=True)]
    for each, where in found if len(found) <= most else found[: most - 1]:
        line = status_view.cut(f"  {where}{each['alert']}: {each['text']}", columns)
        lines.append(terminal.style(line, fg=status_view.SEVERITIES.get(each["severity"])))
    if missing := len(found) + 1 - len(lines):
        lines.append(f"  … {missing} more: 'vllmd status' names them")
    return lines


# --- the other tabs ------------------------------------------------------------------------------


def _unavailable(feed: Feed[Any]) -> list[Row]:
    """Return why a feed shows nothing, or that what it shows is old."""
    if feed.problem:
        return plain(*(terminal.style(t, fg="red") for t in terminal.wrap(feed.problem)), "")
    return [] if feed.value is not None else plain("asking …")


def gpus(hosts: Sequence[Host], feeds: Feeds | None, columns: int) -> list[Row]:
    """Return the GPUs, their owners and processes, and ten minutes of each."""
    with terminal.of_width(columns):
        if feeds is None:
            rows = gpu_bars(hosts, columns)
        else:
            rows = _unavailable(feeds.gpus)
            if shown := feeds.gpus.value:
                rows += plain(*gpu.report(shown, time.time()))
        for host in hosts:
            rows += plain(*_gpu_graphs(host, columns))
    return rows or plain("there is no GPU")


def _gpu_graphs(host: Host, columns: int) -> Iterator[str]:
    for each in (host.document or {}).get("gpus", ()):
        series = host.gpu_series(each["uuid"])
        if not series:
            continue
        yield ""
        yield terminal.style(f"GPU {each['gpu']}, the last ten minutes", bold=True)
        for label, name, top, show in (
            ("busy", "busy_ratio", 1.0, share),
            ("memory", "memory_used_bytes", each["memory_total_bytes"], gibibytes),
            ("power", "power_watts", each["power_limit_watts"], _watts),
        ):
            values = series_of(series, name, host.series_at, max(10, min(120, columns - 24)))
            known = [value for value in values if value is not None]
            if known:
                drawn = terminal.style(bars(values, top or max(known))[0], fg="cyan")
                yield f"  {label:<7} {drawn} {show(known[-1])}"


def _watts(value: float) -> str:
    return f"{value:.0f} W"


def requests(
    feeds: Feeds | None, columns: int, sort: str, wanted: str
) -> tuple[list[Row], list[str]]:
    """Return the slowest requests, and the header."""
    if feeds is None:
        return plain(NOT_HERE), []
    with terminal.of_width(columns):
        rows = _unavailable(feeds.traces)
    shown = feeds.traces.value
    if shown is None:
        return rows, []
    if shown["problem"]:
        rows += plain(terminal.style(f"spans are not received: {shown['problem']}", fg="red"))
    window = shown["current"] or shown["last"]
    if window is None:
        return [*rows, *plain("no request has finished yet")], []
    key = REQUEST_SORTS[sort]
    listed = sorted(traces.slowest(window, None), key=lambda e: -(e[0][key] or 0.0))
    listed = [
        e for e in listed if wanted.casefold() in " ".join(map(str, e[0].values())).casefold()
    ]
    about = traces.about(window, time.time())
    if not listed:
        return rows, [about]
    header, *lines = traces.table(listed, columns)
    found = [
        Row((line,), f"{request['trace_id']}/{request['request_id']}", request)
        for line, (request, _) in zip(lines, listed, strict=True)
    ]
    return [*rows, *found], [about, terminal.style(header, bold=True)]


class EventRows:
    """Makes rows of events; one that was shown is not made again."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], Row] = {}

    def rows(self, feeds: Feeds | None, columns: int, wanted: str) -> list[Row]:
        """Return the events of the last day, the newest last."""
        if feeds is None:
            return plain(NOT_HERE)
        with terminal.of_width(columns):
            rows = _unavailable(feeds.events)
            found = feeds.events.value
            if found is None:
                return rows
            made = [self._row(event, columns) for event in found]
        if len(self._made) > 2 * len(found) + MOST_SPARE:  # of events that are not shown any more
            self._made = {(event.id, columns): self._row(event, columns) for event in found}
        word = wanted.casefold()
        made = [row for row in made if not word or word in "".join(row.lines).casefold()]
        return [*rows, *made] or plain("nothing happened in the last day")

    def _row(self, event: Event, columns: int) -> Row:
        key = event.id, columns
        if key not in self._made:
            lines = tuple(events_command.describe(event))
            self._made[key] = Row(lines, str(event.id), event.to_json())
        return self._made[key]


def cost(feeds: Feeds | None, columns: int) -> list[Row]:
    """Return what serving cost on the last day."""
    if feeds is None:
        return plain(NOT_HERE)
    with terminal.of_width(columns):
        rows = _unavailable(feeds.cost)
        if feeds.cost.value is not None:
            rows += plain("the last 24 hours; 'vllmd cost --since' has others", "")
            rows += plain(*cost_command.lines(feeds.cost.value))
    return rows
