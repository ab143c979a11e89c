"""The table of engines: which columns there are, and which of them a terminal has room for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vllmd.cli import terminal
from vllmd.engine.state_machine import State
from vllmd.engine.status_text import describe_state
from vllmd.util.terminal_text import one_line
from vllmd.util.units import GIB, format_duration

Engine = Mapping[str, Any]
"""One of the engines of the status document; one of an older daemon lacks some fields."""

COLOURS = {
    State.READY: "green",
    State.STOPPED: None,
    State.BACKOFF: "red",
    State.HELD: "red",
    State.STALLED: "red",
    State.UNREACHABLE: "red",
}
"""The state's colour; yellow for all that will pass by itself."""
NOT_KNOWN = "-"
_DURATION = len("59m 59s")
EXTRA = 7
"""The rank from which on a column is left out before columns come closer to each other."""


class Column(NamedTuple):
    """One column: `rank` says which go first where there is no room, the highest ones."""

    title: str
    value: Callable[[Engine, float], str]
    rank: int = 0
    left: bool = False
    least: int = 0
    """Its width in characters at least, so that it does not move with each figure."""


def latency(seconds: float | None) -> str:
    """Return such as ``42ms``, ``1.25s`` or ``80s``."""
    if seconds is None:
        return NOT_KNOWN
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.2f}s" if seconds < 10 else f"{seconds:.0f}s"


def gibibytes(count: float | None, *, sign: str = "") -> str:
    """Return such as ``69.7G``, with ``sign="+"`` ``+5.7G``."""
    return NOT_KNOWN if count is None else f"{count / GIB:{sign}.1f}G"


def number(count: float | None) -> str:
    """Return such as ``1,840``."""
    return NOT_KNOWN if count is None else f"{count:,.0f}"


def share(ratio: float | None) -> str:
    """Return such as ``71%``."""
    return NOT_KNOWN if ratio is None else f"{ratio:.0%}"


def state(engine: Engine) -> str:
    """Return the state in a word."""
    return str(engine["state"]) if engine.get("looked_for", True) else "not known yet"


def colour(engine: Engine) -> str | None:
    """Return the state's colour; red for one that is ready and takes no requests all the same."""
    if engine["state"] == State.READY and not engine["up"]:
        return "red"
    return COLOURS.get(engine["state"], "yellow")


def _state_in_full(engine: Engine, _now: float) -> str:
    return describe_state(dict(engine)) if engine.get("looked_for", True) else "not known yet"


def requests(engine: Engine) -> str:
    """Return how many requests run and wait, such as ``3/0``."""
    running = engine.get("requests_running")
    return NOT_KNOWN if running is None else f"{running}/{engine.get('requests_waiting') or 0}"


def _last_exit(engine: Engine, now: float) -> str:
    last = engine["last_exit"]
    if last is None or last["requested"]:
        return NOT_KNOWN
    cause = (last.get("diagnosis") or {}).get("cause", "unknown")
    return f"{cause} {format_duration(now - last['at'])} ago".ljust(
        len(f"{cause}  ago") + _DURATION
    )


def _adapters(engine: Engine, _now: float) -> str:
    adapters = engine.get("adapters")
    return f"{adapters['loaded']}/{adapters['wanted']}" if adapters else NOT_KNOWN


_NAME = Column("ENGINE", lambda e, _: str(e["name"]), left=True)
_STATE = Column("STATE", lambda e, _: state(e), left=True)
_FOR = Column("FOR", lambda e, now: format_duration(now - e["since"]), least=_DURATION)
_RESTARTS = Column("RESTARTS", lambda e, _: str(e["restarts"]))
_LOAD = (
    Column("RUN/WAIT", lambda e, _: requests(e), 1),
    Column("TOK/S", lambda e, _: number(e.get("tokens_per_s")), 2, least=6),
    Column("TTFT95", lambda e, _: latency(e.get("ttft_p95_s")), 3),
    Column("ITL95", lambda e, _: latency(e.get("itl_p95_s")), 7),
    Column("KV", lambda e, _: share(e.get("kv_cache_usage")), 4, least=4),
    Column("VRAM", lambda e, _: gibibytes(e.get("gpu_memory_bytes")), 5, least=6),
    Column("MARGIN", lambda e, _: gibibytes(e.get("restart_margin_bytes"), sign="+"), 6),
)
_MORE = (
    Column("LAST EXIT", _last_exit, 8, left=True),
    Column("ADAPTERS", _adapters, 9),
    Column("VLLM", lambda e, _: str(e.get("vllm_version") or NOT_KNOWN), 10, left=True),
    Column("MODEL", lambda e, _: ", ".join(e["served_names"]), 11, left=True),
    Column("PID", lambda e, _: str(e.get("pid") or NOT_KNOWN), 12),
    Column("API", lambda e, _: str(e["url"]), 13, left=True),
)
FOR_TERMINAL = (_NAME, _STATE, _FOR, *_LOAD, _RESTARTS, *_MORE)
FOR_PIPE = (
    _NAME,
    _STATE._replace(value=_state_in_full),
    _FOR._replace(left=True),
    *_LOAD,
    _RESTARTS,
    *_MORE,
)


def lines(engines: Sequence[Engine], now: float, columns: int | None) -> Iterator[str]:
    """Yield the header and a line for each engine; `columns` is None where any width will do."""
    wanted = list(FOR_PIPE if columns is None else FOR_TERMINAL)
    gap = 2
    while columns is not None and _width(wanted, engines, now, gap) > columns:
        last = max(wanted, key=lambda column: column.rank)
        if last.rank < EXTRA and gap == 2:
            gap = 1
        elif last.rank == 0:
            break
        else:
            wanted.remove(last)
    cells = _cells(wanted, engines, now)
    widths = _widths(wanted, engines, now)
    for index, row in enumerate(cells):
        shown = [
            cell.ljust(width) if column.left else cell.rjust(width)
            for column, cell, width in zip(wanted, row, widths, strict=True)
        ]
        line = (" " * gap).join([shown[0], _coloured(shown[1], engines, index), *shown[2:]])
        yield terminal.style(line.rstrip(), bold=True) if index == 0 else line.rstrip()


def _coloured(cell: str, engines: Sequence[Engine], index: int) -> str:
    if index == 0:
        return cell
    found = colour(engines[index - 1])
    return terminal.style(cell, fg=found) if found else cell


def _cells(wanted: Sequence[Column], engines: Sequence[Engine], now: float) -> list[list[str]]:
    rows = [[one_line(column.value(engine, now)) for column in wanted] for engine in engines]
    return [[column.title for column in wanted], *rows]


def _widths(wanted: Sequence[Column], engines: Sequence[Engine], now: float) -> list[int]:
    cells = zip(*_cells(wanted, engines, now), strict=True)
    return [max(c.least, *map(len, column)) for c, column in zip(wanted, cells, strict=True)]


def _width(wanted: Sequence[Column], engines: Sequence[Engine], now: float, gap: int) -> int:
    return sum(_widths(wanted, engines, now)) + gap * (len(wanted) - 1)
