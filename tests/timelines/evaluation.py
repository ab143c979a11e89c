"""Which of all alerts fire over given series, and with which labels and words, by promtool."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from tests.helpers.site import needs
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.prometheus import rule_file
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.rules import Alert, RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings

Series = Mapping[str, Sequence[float | None]]
"""Values by the name with its labels, as PromQL has them; one for each step, None is none."""
_FOUND = re.compile(r"alertname: (\w+), time: (\w+),")
_TOLD = re.compile(r"Labels:\{(.*)\}\n\s*Annotations:\{(.*)\},?\n")
_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')
_UNITS_M = {"w": 10080, "d": 1440, "h": 60, "m": 1, "s": 1 / 60}


@attrs.frozen
class Told:
    """An alert that fires, as Prometheus sends it to Alertmanager."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels["alertname"]


def rules_over(series: Series, settings: RuleSettings) -> list[RuleGroup]:
    """Return the groups without the rules that ask for no series of these: they find nothing.

    `absent` and what asks for no series at all stay.
    """
    names = {name.partition("{")[0] for name in series}
    kept: list[RuleGroup] = []
    for groups in (RECORDS, ALERTS):
        for make in groups.values():
            group = make(settings)
            rules: list[Alert | RecordingRule] = []
            for rule in group.rules:
                asked = set(re.findall(r"[a-zA-Z_:][\w:]*", rule.expr))
                if isinstance(rule, RecordingRule) and asked & names:
                    names.add(rule.name)
                if asked & names or "absent(" in rule.expr:
                    rules.append(rule)
            if rules:
                kept.append(attrs.evolve(group, rules=rules, interval=None))
    return kept


def evaluate(
    series: Series,
    moments_m: Sequence[int],
    folder: Path,
    *,
    step_m: int = 1,
    settings: RuleSettings | None = None,
) -> list[list[Told]]:
    """Return what fires of all alerts but the watchdog, at each moment, in minutes.

    Samples and evaluations are `step_m` apart; the first sample is of minute 0.
    """
    needs("promtool")
    chosen = settings or RuleSettings()
    groups = rules_over(series, chosen)
    files = []
    for group in groups:
        file = folder / f"{group.name}.yml"
        file.write_text(rule_file(group, chosen))
        files.append(str(file))
    alerts = [alert.name for group in groups for alert in group.alerts]
    test = {
        "interval": f"{step_m}m",
        "input_series": [
            {"series": name, "values": written(values)} for name, values in series.items()
        ],
        "alert_rule_test": [
            # what nobody expects, so that it is told what was found
            {"eval_time": f"{at}m", "alertname": name, "exp_alerts": []}
            for at in sorted(set(moments_m))
            for name in alerts
        ],
    }
    order = [group.name for group in groups]
    head = {"rule_files": files, "evaluation_interval": f"{step_m}m", "group_eval_order": order}
    path = folder / "evaluation.yml"
    path.write_text(json.dumps({**head, "tests": [test]}))  # JSON is YAML
    command = ["promtool", "test", "rules", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    said = told.stdout + told.stderr
    assert told.returncode == 0 or _FOUND.search(said), said
    found: dict[int, list[Told]] = {}
    for at, each in read(said):
        found.setdefault(at, []).append(each)
    return [found.get(at, []) for at in moments_m]


def written(values: Iterable[float | None]) -> str:
    """Return promtool's words for a series; one that ends is marked so, as a failed scrape does."""
    words = []
    there = False
    for value in values:
        words.append(("stale" if there else "_") if value is None else f"{value:.6f}")
        there = value is not None
    return " ".join(words)


def read(said: str) -> Iterator[tuple[int, Told]]:
    """Yield the minute of each alert that was found, and the alert."""
    heads = list(_FOUND.finditer(said))
    ends = [*(head.start() for head in heads[1:]), len(said)]
    for head, end in zip(heads, ends, strict=False):
        at = round(sum(int(n) * _UNITS_M[u] for n, u in re.findall(r"(\d+)([wdhms])", head[2])))
        blocks = _TOLD.findall(said, head.end(), end)
        assert blocks, said[head.start() : end]
        for labels, annotations in blocks:
            yield at, Told(_pairs(labels), _pairs(annotations))


def _pairs(text: str) -> dict[str, str]:
    return {name: json.loads(value) for name, value in _PAIR.findall(text)}
