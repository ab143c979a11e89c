"""What promtool's evaluation of an alert gives, minute by minute."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tests.helpers.site import needs
from tests.timelines.evaluation import written
from tests.timelines.scenes import Scene, series
from tests.timelines.signals import Fault
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.prometheus import rule_file
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.rules import Alert, RuleGroup
from vllmd.monitoring.settings import RuleSettings

HOSTLESS = "all"


@attrs.frozen
class Firing:
    """When an alert fired, in minutes since the fault began, and for how many minutes in all."""

    first: int
    last: int
    minutes: int

    def whole(self, step: int) -> bool:
        """Tell whether it fired without a break."""
        return self.last - self.first == self.minutes - step


def alert_named(name: str) -> Alert:
    """Return the alert."""
    return next(
        a for make in ALERTS.values() for a in make(RuleSettings()).alerts if a.name == name
    )


def firing(fault: Fault, played: Sequence[Scene], folder: Path) -> Mapping[str, Firing]:
    """Play the scenes; return when the fault's alert fired, by the name of the scene."""
    alert = alert_named(fault.alert)
    if alert.of_a_host:
        return _firing(fault, alert, played, folder)
    found: dict[str, Firing] = {}
    for scene in played:
        for firing in _firing(fault, alert, [scene], folder).values():
            found[scene.host] = firing
    return found


def _firing(fault: Fault, alert: Alert, played: Sequence[Scene], folder: Path) -> dict[str, Firing]:
    needs("promtool")
    groups = _groups(alert)
    files = []
    for group in groups:
        file = folder / f"{group.name}.yml"
        file.write_text(rule_file(group, RuleSettings()))
        files.append(str(file))
    length = fault.before + fault.lasts + fault.after - fault.step
    window = f"[{length + fault.step}m:{fault.step}m]"
    fires = f'ALERTS{{alertname="{alert.name}", alertstate="firing"}}'
    asked = {
        "first": f"min by (instance) (min_over_time(timestamp({fires}){window}))",
        "last": f"max by (instance) (max_over_time(timestamp({fires}){window}))",
        "count": f"count_over_time((max by (instance) ({fires})){window})",
    }
    step = f"{fault.step}m"
    test = {
        "interval": step,
        "input_series": [
            {"series": name, "values": written(values)}
            for scene in played
            for name, values in series(scene, fault)
        ],
        "promql_expr_test": [
            # what nobody expects, so that it is told what was found
            {"expr": expr, "eval_time": f"{length}m", "exp_samples": [{"labels": "x", "value": 0}]}
            for expr in asked.values()
        ],
    }
    path = folder / "test.yml"
    order = [group.name for group in groups]
    head = {"rule_files": files, "evaluation_interval": step, "group_eval_order": order}
    path.write_text(json.dumps({**head, "tests": [test]}))  # JSON is YAML
    command = ["promtool", "test", "rules", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    got = re.findall(r"got:(.*)", told.stdout + told.stderr)
    assert len(got) == len(asked), told.stdout + told.stderr
    values = dict(zip(asked, map(_samples, got), strict=True))
    return {
        host: Firing(
            first=round(at / 60) - fault.before,
            last=round(values["last"][host] / 60) - fault.before,
            minutes=round(values["count"][host]) * fault.step,
        )
        for host, at in values["first"].items()
    }


def _groups(alert: Alert) -> list[RuleGroup]:
    """Return the group of the alert alone, after those that record what it asks for."""
    recorded = [make(RuleSettings()) for make in RECORDS.values()]
    asked = [g for g in recorded if any(rule.name in alert.expr for rule in g.rules)]
    return [
        *(attrs.evolve(group, interval=None) for group in asked),
        RuleGroup("alert", "One alert.", [alert]),
    ]


def _samples(text: str) -> dict[str, float]:
    """Return the values by host of promtool's words."""
    found = re.findall(r'\{(?:instance=\\?"([^"\\]*)\\?")?\} ([\d.E+e-]+)', text)
    return {host or HOSTLESS: float(value) for host, value in found}
