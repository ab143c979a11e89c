"""What `vllmd status ENGINE` shows: all that is known of it, its newest failures, its log's end."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from vllmd.cli import status_view, terminal
from vllmd.cli.engine_table import Engine, colour, gibibytes, latency, number, share
from vllmd.control.client import ControlClient
from vllmd.control.events import events_of
from vllmd.engine.status_text import (
    describe_probe,
    describe_sleep,
    describe_state,
    describe_weights,
)
from vllmd.errors import VllmdError
from vllmd.events.engine import EngineExited
from vllmd.events.reading_back import by_name, read_back
from vllmd.history.reading import EventFilter
from vllmd.logs.reading import LogFilter, newest
from vllmd.util.redact import without_shapes
from vllmd.util.units import DAY_S, format_duration

LOG_LINES = 10
FAILURES = 5
LOOK_BACK_S = 30 * DAY_S
KEPT_S = 10.0
MOST_ROWS = 4
"""Rows that one line of the log takes at most: 'vllmd logs' shows it whole."""
_READ = by_name(EngineExited)
_LABELS = 11


class History:
    """The newest failures of one engine, kept for a while where it is shown again and again."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        self._asked: tuple[float, Mapping[str, Any] | None] | None = None
        self._found: list[tuple[float, EngineExited]] = []

    def failures(self, engine: Engine, now: float) -> list[tuple[float, EngineExited]]:
        """Return when it ended and how, the oldest first.

        The daemon is asked each `KEPT_S`, and when the engine has ended again.

        Raises: VllmdError: the history cannot be read.
        """
        if self._asked is not None:
            asked_at, last_exit = self._asked
            if 0 <= now - asked_at < KEPT_S and last_exit == engine["last_exit"]:
                return self._found
        wanted = EventFilter(
            since=now - LOOK_BACK_S, engine=engine["name"], names=(EngineExited.name,), limit=100
        )
        ends = [(each.at, read_back(_READ, each)) for each in events_of(self._client, wanted)]
        self._found = [
            (at, end) for at, end in ends if isinstance(end, EngineExited) and not end.requested
        ][-FAILURES:]
        self._asked = (now, engine["last_exit"])
        return self._found


def report(history: History, engine: Engine, now: float) -> Iterator[str]:
    """Yield the lines, as systemctl shows a unit; `now` is in seconds since the epoch."""
    yield terminal.style(f"{engine['name']}: {engine['model']}", bold=True)
    yield from facts(engine, now)
    yield from status_view.below(engine, now)
    yield from _failures(history, engine, now)
    yield from _log(engine)


def facts(engine: Engine, now: float) -> Iterator[str]:
    """Yield what is known of it, a label before each line; some of it only the host may see."""
    for label, text in _facts(engine, now):
        yield from _row(label, text, colour(engine) if label == "State" else None)


def _row(label: str, text: str, colour: str | None) -> Iterator[str]:
    first, *more = terminal.wrap(text, first=" " * (_LABELS + 1), rest=" " * (_LABELS + 1))
    words = first[_LABELS + 1 :]
    yield f"{label:>{_LABELS - 1}}: {terminal.style(words, fg=colour) if colour else words}"
    yield from more


def _facts(engine: Engine, now: float) -> Iterator[tuple[str, str]]:
    since = f"{_moment(engine['since'])}, {format_duration(now - engine['since'])} ago"
    yield "State", f"{describe_state(dict(engine))} since {since}"
    yield "API", f"{engine['url']}/v1, models: {', '.join(engine['served_names'])}"
    if engine.get("pid"):
        version = f", vLLM {engine['vllm_version']}" if engine.get("vllm_version") else ""
        adopted = ", adopted" if engine["adopted"] else ""
        yield "Process", f"{engine['pid']} (its shim {engine['shim_pid']}){version}{adopted}"
    elif engine.get("vllm_version"):
        yield "vLLM", str(engine["vllm_version"])
    if engine.get("requests_running") is not None:
        yield "Requests", _requests(engine)
    if engine.get("kv_cache_usage") is not None or engine.get("gpu_memory_bytes") is not None:
        yield "Memory", _memory(engine)
    if weights := engine.get("weights"):
        yield "Weights", describe_weights(weights)
    if sleep := engine.get("sleep"):
        yield "Sleep", describe_sleep(sleep)
    if probe := engine.get("probe"):
        yield "Answers", describe_probe(probe)
    if adapters := engine.get("adapters"):
        missing = (
            f"; not loaded: {', '.join(adapters['missing'])}" if adapters.get("missing") else ""
        )
        yield "Adapters", f"{adapters['loaded']} of {adapters['wanted']}{missing}"
    yield "Restarts", str(engine["restarts"])
    if engine.get("log"):
        yield "Log", str(engine["log"])


def _requests(engine: Engine) -> str:
    running = f"{engine['requests_running']} running, {engine['requests_waiting'] or 0} waiting"
    said = [running]
    if engine.get("tokens_per_s") is not None:
        prompt = engine.get("prompt_tokens_per_s")
        said.append(f"{number(engine['tokens_per_s'])} tokens/s out, {number(prompt)} in")
    if engine.get("ttft_p95_s") is not None:
        said.append(f"TTFT p95 {latency(engine['ttft_p95_s'])}")
    if engine.get("itl_p95_s") is not None:
        said.append(f"ITL p95 {latency(engine['itl_p95_s'])}")
    return "; ".join(said)


def _memory(engine: Engine) -> str:
    said = []
    if engine.get("kv_cache_usage") is not None:
        said.append(f"KV cache {share(engine['kv_cache_usage'])} used")
    if engine.get("gpu_memory_bytes") is not None:
        on = f" on GPU {', '.join(engine['gpus'])}" if engine.get("gpus") else ""
        said.append(f"{gibibytes(engine['gpu_memory_bytes'])[:-1]} GiB{on}")
    margin = engine.get("restart_margin_bytes")
    if margin is not None:
        amount = f"{gibibytes(abs(margin))[:-1]} GiB"
        said.append(
            f"a restart has {amount} to spare"
            if margin >= 0
            else f"{amount} too little to start again"
        )
    return "; ".join(said)


def _failures(history: History, engine: Engine, now: float) -> Iterator[str]:
    try:
        failed = history.failures(engine, now)
    except VllmdError as error:
        yield ""
        yield f"its history cannot be read: {error}"
        return
    if not failed:
        return
    yield ""
    yield terminal.style("Newest failures", bold=True)
    for at, end in failed:
        cause = f"  {end.cause}" if end.cause else ""
        yield from terminal.wrap(f"{_moment(at)}{cause}  {end.text}", first="  ", rest="    ")


def _log(engine: Engine) -> Iterator[str]:
    try:
        found, _ = newest(str(engine["log"]), LogFilter(None, None, None, (), None), LOG_LINES)
    except OSError as error:
        yield ""
        yield f"{engine['log']} cannot be read: {error.strerror}"
        return
    lines = [without_shapes(line.text) for line in found]
    yield ""
    if not lines:
        yield "It has printed nothing yet"
        return
    yield terminal.style("Newest lines", bold=True)
    for line in lines:
        yield from _short(terminal.wrap(line, first="  ", rest="      "))


def _short(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MOST_ROWS else [*lines[: MOST_ROWS - 1], "      …"]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
