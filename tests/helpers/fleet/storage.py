"""Scenes in a real Prometheus: their samples, then what its rules make of these.

Samples are OpenMetrics text that `promtool` makes blocks of. Rules are evaluated by Prometheus'
own query engine, over the hour; of alerts, `for` and `keep_firing_for` are applied here, as
promtool makes no blocks of alerts.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import httpx

from tests.helpers.fleet.scenes import BEFORE_MIN, SHOWN_MIN, STEP_S, Scene, begin
from tests.helpers.ports import free_port
from tests.helpers.servers import running
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.dashboards import DASHBOARDS, text
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.rules import Alert, RecordingRule
from vllmd.monitoring.settings import RuleSettings

EPOCH = 1_748_865_600
"""2 June 2025, 12:00 UTC: a block of Prometheus begins then."""
APART_S = 8 * 86400
"""Between scenes, so that a window of a week sees one only."""
RULE_STEP_S = 60
LOOKBACK_S = STEP_S - 1
"""Blocks that were made have no mark where a series ends: a value counts until the next scrape, or
what ended would be added to what came in its place."""
JOB = b'job="vllmd"'
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
Make = Callable[[], Scene]
Series = Mapping[str, Any]


@attrs.frozen
class Shown:
    """The hour of a scene, in seconds since the epoch."""

    begin: float
    end: float


def hour(number: int) -> Shown:
    """Return the hour of the scene with that number."""
    start = EPOCH + number * APART_S + BEFORE_MIN * 60
    return Shown(start, start + SHOWN_MIN * 60)


@contextmanager
def storing(folder: Path, scenes: Sequence[Make]) -> Iterator[str]:
    """Store the scenes in the order given, one `hour` each; yield Prometheus' address."""
    data = folder / "data"
    data.mkdir(parents=True)
    numbers = range(len(scenes))
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_store, scenes, numbers, [folder] * len(scenes)))
        settings = RuleSettings()
        records = [r for make in RECORDS.values() for r in make(settings).rules]
        alerts = [r for make in ALERTS.values() for r in make(settings).rules]
        for rules in (*_waves(records), alerts):
            with _serving(folder) as url:
                evaluated = pool.map(_evaluate, [rules] * len(scenes), numbers, [url] * len(scenes))
                found = list(evaluated)
            for number, content in enumerate(found):
                _make_blocks(folder, f"rules-{number}", [content])
    with _serving(folder) as url:
        yield url


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    config = folder / "prometheus.yml"
    config.write_text("scrape_configs: []\n")
    url = f"http://127.0.0.1:{free_port()}"
    with running(
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        # blocks of two scenes that become one would show the hosts of both in a list of labels
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        f"--query.lookback-delta={LOOKBACK_S}s",
        f"--web.listen-address={url.removeprefix('http://')}",
        log=folder / "prometheus.log",
        up=lambda: _is_up(url),
    ):
        yield url


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


# --- samples ---------------------------------------------------------------------------------


def _store(make: Make, number: int, folder: Path) -> None:
    _make_blocks(folder, f"scene-{number}", _lines(make(), number))


def _make_blocks(folder: Path, name: str, lines: Iterator[bytes] | Sequence[bytes]) -> None:
    path = folder / f"{name}.txt"
    with path.open("wb") as file:
        file.writelines(lines)
        file.write(b"# EOF\n")
    if path.stat().st_size > len(b"# EOF\n"):
        command = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
        command += [str(path), str(folder / "data")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    path.unlink()


def _lines(scene: Scene, number: int) -> Iterator[bytes]:
    """Yield the samples of a scene, a scrape after the other."""
    shown = hour(number)
    first = int(shown.begin - BEFORE_MIN * 60)
    begin(scene, first)
    wanted, steps = _asked_for(), list(scene.script)
    for at in range(first, int(shown.end) + 1, STEP_S):
        while steps and shown.begin + 60 * steps[0][0] <= at:
            minute, happens = steps.pop(0)
            happens(shown.begin + 60 * minute)
        for host in scene.hosts:
            host.pass_time(at, STEP_S)
            about = b'instance="%s",%s' % (host.name.encode(), JOB)
            yield b"up{%s} %d %d\n" % (about, host.answers, at)
            if not host.answers:
                continue
            count = 0
            for name, labels, value in host.samples():
                count += 1
                if name.decode() in wanted:
                    inner = about + b"," + labels if labels else about
                    yield b"%s{%s} %s %d\n" % (name, inner, value, at)
            yield b"scrape_duration_seconds{%s} 0.021 %d\n" % (about, at)
            yield b"scrape_samples_scraped{%s} %d %d\n" % (about, count, at)


@cache
def _asked_for() -> frozenset[str]:
    """Return every word of every query: what is in none need not be stored."""
    settings = RuleSettings()
    groups = [make(settings) for make in (*RECORDS.values(), *ALERTS.values())]
    written = [rule.expr for group in groups for rule in group.rules]
    written += [text(build) for build in DASHBOARDS.values()]
    return frozenset(word for each in written for word in _WORD.findall(each))


# --- rules -----------------------------------------------------------------------------------


def _waves(records: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield recording rules in steps: those of a step need none of it."""
    left = list(records)
    while left:
        names = {rule.name for rule in left}
        now = [rule for rule in left if not names & set(_WORD.findall(rule.expr))]
        assert now, f"rules that need each other: {names}"
        yield now
        left = [rule for rule in left if rule not in now]


def _evaluate(rules: Sequence[Alert | RecordingRule], number: int, url: str) -> bytes:
    """Return what the rules make of a scene, as OpenMetrics."""
    lines: list[tuple[int, bytes]] = []
    for rule in rules:
        for labels, points in _by_labels(_asked(url, rule.expr, hour(number))):
            if isinstance(rule, RecordingRule):
                for at, value in points:
                    lines += _stored(rule.name, labels, value, at)
                continue
            labels |= {"alertname": rule.name, "severity": str(rule.severity)}
            for at, state, since in _states(rule, [at for at, _ in points], hour(number).end):
                lines += _stored("ALERTS", {**labels, "alertstate": state}, 1, at)
                lines += _stored("ALERTS_FOR_STATE", labels, since, at)
    return b"".join(line for _, line in sorted(lines))


def _asked(url: str, expr: str, shown: Shown) -> list[Series]:
    query = {"query": expr, "start": shown.begin - 600, "end": shown.end, "step": RULE_STEP_S}
    answer = httpx.post(f"{url}/api/v1/query_range", data=query, timeout=60, trust_env=False)
    assert answer.status_code == 200, (expr, answer.text)
    found: list[Series] = answer.json()["data"]["result"]
    return found


def _by_labels(found: Sequence[Series]) -> Iterator[tuple[dict[str, str], list[tuple[int, float]]]]:
    """Yield labels with the values over time: one part of `or` has a name, the other has none."""
    every: dict[tuple[tuple[str, str], ...], dict[int, float]] = {}
    for series in found:
        labels = {k: v for k, v in series["metric"].items() if k != "__name__"}
        points = every.setdefault(tuple(sorted(labels.items())), {})
        points |= {int(at): float(value) for at, value in series["values"]}
    for pairs, points in every.items():
        yield dict(pairs), sorted(points.items())


def _states(alert: Alert, held: Sequence[int], end: float) -> Iterator[tuple[int, str, int]]:
    """Yield when an alert is pending or fires, and since when, from when its expression holds."""
    wait, keep = _seconds(alert.wait), _seconds(alert.keep or "0s")
    holds = set(held)
    since = fired = None
    for at in range(min(held), int(end) + 1, RULE_STEP_S):
        if at in holds:
            since = at if since is None else since
            fired = at if at - since >= wait else fired
            yield at, "firing" if at - since >= wait else "pending", since
        elif since is not None and fired is not None and at - fired < keep:
            yield at, "firing", since
        else:
            since = fired = None


def _seconds(duration: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))


def _stored(
    name: str, labels: Mapping[str, str], value: float, at: int
) -> Iterator[tuple[int, bytes]]:
    """Yield a value as often as a scrape comes, or it would count as gone in between."""
    for time in range(at, at + RULE_STEP_S, STEP_S):
        yield time, _line(name, labels, value, time)


def _line(name: str, labels: Mapping[str, str], value: float, at: int) -> bytes:
    escaped = {k: v.replace("\\", "\\\\").replace('"', '\\"') for k, v in labels.items()}
    inner = ",".join(f'{k}="{v}"' for k, v in escaped.items())
    return f"{name}{{{inner}}} {value!r} {at}\n".encode()
