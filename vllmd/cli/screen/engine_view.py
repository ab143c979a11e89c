"""What is shown of one engine: facts, ten minutes of graphs, why, requests, events, and its log."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs

from vllmd.cli import events as events_command
from vllmd.cli import logs, one_engine, status_view, terminal, traces
from vllmd.cli.engine_table import Engine, latency, number, share
from vllmd.cli.screen.feeds import Feeds
from vllmd.cli.screen.graph import Points, bars, series_of
from vllmd.cli.screen.hosts import Host
from vllmd.cli.screen.lines import Row, plain, text_of
from vllmd.cli.screen.tabs import NOT_HERE
from vllmd.logs.lines import Line
from vllmd.util import labelled_parts
from vllmd.util.units import GIB

BESIDE_FROM = 120
"""From so many columns on there are two parts beside each other."""
LOWEST, HIGHEST = 2, 5
"""Lines of a graph: as many as there is room for."""
EVENTS, SLOWEST, ADAPTERS, LEAST_LOG, MOST_GPUS = 6, 5, 8, 8, 2
NO_SERIES = "this daemon keeps no series: an older one does not, until it is restarted"
_BETWEEN = " │ "


@attrs.frozen
class Graph:
    """One series and how it is shown; `top` is what fills it, None for its highest value."""

    label: str
    name: str
    show: Callable[[float | None], str]
    top: float | None = None


GRAPHS = (
    Graph("tokens/s", "tokens_per_s", number),
    Graph("TTFT p95", "ttft_p95_s", latency),
    Graph("running", "running", number),
    Graph("ITL p95", "itl_p95_s", latency),
    Graph("waiting", "waiting", number),
    Graph("KV cache", "kv_cache_usage", share, 1.0),
)
GPU_GRAPHS = (
    Graph("busy", "busy_ratio", share, 1.0),
    Graph("memory", "memory_used_bytes", lambda v: "-" if v is None else f"{v / GIB:.1f} GiB"),
)


def rows(host: Host, engine: Engine, feeds: Feeds | None, columns: int, height: int) -> list[Row]:
    """Return all of it, in two parts beside each other where there is room."""
    if columns < BESIDE_FROM:
        with terminal.of_width(columns):
            left = [*_left(host, engine, feeds, columns, height)]
            right = [
                *_right(engine, feeds, columns, full=False),
                *_log(engine, feeds, columns, LEAST_LOG),
            ]
        return plain(*left, *right)
    wide = (columns - len(_BETWEEN)) // 2
    narrow = columns - len(_BETWEEN) - wide
    with terminal.of_width(wide):
        left = [*_left(host, engine, feeds, wide, height)]
    with terminal.of_width(narrow):
        right = [*_right(engine, feeds, narrow, full=True)]
        right += _log(engine, feeds, narrow, max(LEAST_LOG, height - len(right) - 1))
    return plain(*_beside(left, right, wide))


def _beside(left: Sequence[str], right: Sequence[str], width: int) -> Iterator[str]:
    for number_ in range(max(len(left), len(right))):
        one = left[number_] if number_ < len(left) else ""
        other = right[number_] if number_ < len(right) else ""
        shown = text_of(one)
        if shown.cell_len > width:
            one = status_view.cut(shown.plain, width)
            shown = text_of(one)
        yield f"{one}{' ' * (width - shown.cell_len)}{_BETWEEN}{other}"


def _left(
    host: Host, engine: Engine, feeds: Feeds | None, columns: int, height: int
) -> Iterator[str]:
    above = [*one_engine.facts(engine, host.now), *status_view.below(engine, host.now)]
    below = [*_adapters(engine, feeds)]
    room = height - len(above) - len(below) - 2
    per_graph = room // max(1, _pairs(host, engine)) - 1
    drawn = graphs(host, engine, columns, max(LOWEST, min(HIGHEST, per_graph)))
    yield from (*above, *drawn, *below)


def _right(engine: Engine, feeds: Feeds | None, columns: int, *, full: bool) -> Iterator[str]:
    if feeds is None:
        yield terminal.style("Why, requests, events, log", bold=True)
        yield f"  {NOT_HERE}"
        return
    yield from _why(engine, feeds, columns, full=full)
    yield from _slowest(engine, feeds, columns)
    yield terminal.style("Last events", bold=True)
    found = [each for each in feeds.events.value or () if each.engine == engine["name"]]
    for each in found[-EVENTS:]:
        at = datetime.fromtimestamp(each.at)
        line = f"  {at:%H:%M:%S}  {each.name}  {events_command.describe_fields(each)}"
        colour = events_command.COLOURS.get(each.level)
        yield terminal.style(status_view.cut(line, columns), fg=colour)


def graphs(host: Host, engine: Engine, columns: int, height: int) -> Sequence[str]:
    """Return ten minutes of an engine's figures and of its GPUs', two graphs beside each other.

    They are drawn anew when there are new figures.
    """
    key = ("graphs", engine["name"], columns, height)
    if key not in host.drawn:
        host.drawn[key] = tuple(_graphs(host, engine, columns, height))
    return host.drawn[key]


def _graphs(host: Host, engine: Engine, columns: int, height: int) -> Iterator[str]:
    series, now = host.engine_series(engine["name"]), host.series_at
    yield terminal.style("The last ten minutes", bold=True)
    if not host.knows_series:
        yield f"  {NO_SERIES}"
        return
    width = (columns - 4) // 2
    drawn = [_graph(g, series_of(series, g.name, now, width), width, height) for g in GRAPHS]
    own = _gpus(host, engine)
    for gpu in own[:MOST_GPUS]:
        of_gpu = host.gpu_series(gpu["uuid"])
        for g in GPU_GRAPHS:
            label, top = f"GPU {gpu['gpu']} {g.label}", g.top or gpu["memory_total_bytes"]
            values = series_of(of_gpu, g.name, now, width)
            drawn.append(_graph(attrs.evolve(g, label=label, top=top), values, width, height))
    for first, second in zip(drawn[::2], drawn[1::2], strict=False):
        for one, other in zip(first, second, strict=True):
            yield f"  {one}{' ' * (width + 2 - text_of(one).cell_len)}{other}"
    if len(own) > MOST_GPUS:
        yield f"  … {len(own) - MOST_GPUS} more GPUs: tab 2"


def _gpus(host: Host, engine: Engine) -> list[dict[str, Any]]:
    listed = (host.document or {}).get("gpus", ())
    return [gpu for gpu in listed if gpu["gpu"] in engine.get("gpus", ())]


def _pairs(host: Host, engine: Engine) -> int:
    """Return how many graphs stand below each other."""
    return len(GRAPHS) // 2 + min(MOST_GPUS, len(_gpus(host, engine)))


def _graph(graph: Graph, values: Points, width: int, height: int) -> list[str]:
    known = [value for value in values if value is not None]
    highest = max(known, default=None)
    now = values[-1] if values else None
    said = f"{graph.label} {graph.show(now)}"
    most = f"  max {graph.show(highest)}" if highest is not None else ""
    drawn = bars(values, graph.top or highest or 0.0, height)
    if len(said) + len(most) > width:
        most = ""
    title = f"{terminal.style(said, bold=True)}{most}"
    return [title, *(terminal.style(line, fg="cyan") for line in drawn)]


def _adapters(engine: Engine, feeds: Feeds | None) -> Iterator[str]:
    counts = engine.get("adapters")
    if not counts:
        return
    yield terminal.style(f"Adapters: {counts['loaded']} of {counts['wanted']} loaded", bold=True)
    if feeds is None:
        return
    listed: list[dict[str, Any]] = next(
        (e["adapters"] for e in feeds.adapters.value or () if e["engine"] == engine["name"]), []
    )
    listed = sorted(listed, key=lambda each: each["condition"] == "loaded")
    for each in listed[:ADAPTERS]:
        bad = each["condition"] != "loaded"
        why = f": {each['reason']}" if each.get("reason") else ""
        line = f"  {each['name']}  {each['condition']}{why}"
        yield terminal.style(line, fg="red") if bad else line
    if len(listed) > ADAPTERS:
        yield f"  … {len(listed) - ADAPTERS} more: 'vllmd lora list' names them"


def _why(engine: Engine, feeds: Feeds, columns: int, *, full: bool) -> Iterator[str]:
    yield terminal.style("Why", bold=True)
    report = feeds.report(dict(engine))
    if feeds.told.problem:
        yield from terminal.wrap(feeds.told.problem, first="  ", rest="  ")
    elif report is None:
        yield "  nothing has happened to it"
    else:
        lines = labelled_parts.wrapped(report, columns - 2).split("\n")
        shown = lines if full else lines[:4]
        yield from (f"  {line}" for line in shown)
        if len(shown) < len(lines):
            yield "  … (w shows all)"


def why_text(engine: Engine, feeds: Feeds, columns: int) -> list[Row]:
    """Return what `vllmd why ENGINE` says."""
    with terminal.of_width(columns):
        return plain(*_why(engine, feeds, columns, full=True))


def _slowest(engine: Engine, feeds: Feeds, columns: int) -> Iterator[str]:
    yield terminal.style("Slowest requests", bold=True)
    shown = feeds.traces.value or {}
    window = shown.get("current") or shown.get("last")
    listed = traces.slowest(window, engine["name"])[:SLOWEST] if window else []
    if not listed:
        yield "  none has finished in the last minute"
        return
    yield from (f"  {line}" for line in traces.table(listed, columns - 2))


def _log(engine: Engine, feeds: Feeds | None, columns: int, count: int) -> Iterator[str]:
    if feeds is None:
        return
    yield terminal.style("Log (l shows all)", bold=True)
    feed = feeds.log(str(engine["log"]))
    if feed.problem:
        yield f"  {feed.problem}"
        return
    lines: list[str] = []
    for line in (feed.value or [])[-count:]:
        lines += log_lines(line.text, line.level, columns)
    yield from lines[-count:]


@lru_cache(8192)
def log_lines(text: str, level: str, columns: int) -> tuple[str, ...]:
    """Return one line of a log in as many as a screen needs, in the colour of its level."""
    colour = logs.COLOURS.get(level)
    wrapped = textwrap.wrap(
        text, columns, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
    ) or [""]
    return tuple(terminal.style(each, fg=colour) if colour else each for each in wrapped)


def log_rows(lines: Sequence[Line], columns: int, wanted: str) -> list[Row]:
    """Return the lines of a log in which a word is found."""
    word = wanted.casefold()
    return [
        Row(log_lines(line.text, line.level, columns))
        for line in lines
        if not word or word in line.text.casefold()
    ]
