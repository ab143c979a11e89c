"""All rules: what promtool does not see, and what a reader of their words would stumble over."""

import re
import shlex
from pathlib import Path

import pytest

from tests.helpers.each import of_each
from tests.helpers.promql import complaints
from vllmd.cli.main import COMMANDS
from vllmd.http import runbook_pages
from vllmd.monitoring.alerts import ALERTS, every_alert
from vllmd.monitoring.prometheus import annotations
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.rules import LAST_END, Alert, AlertSeverity, RecordingRule
from vllmd.monitoring.settings import RuleSettings

EVERY = [
    rule
    for groups in (ALERTS, RECORDS)
    for make in groups.values()
    for rule in make(RuleSettings()).rules
]
MAY_LOOK_AT = frozenset(
    {"vllmd_gpu_ecc_errors_total", "vllmd_time_to_first_token_seconds_count"}
    | {
        f"vllmd_{name}_{part}"
        for name in ("time_to_first_token_seconds", "inter_token_latency_seconds")
        for part in ("count", "bucket")
    }
)
"""One uncorrected error is one too many; of the others it matters that they are there at all."""

PROGRAMS = frozenset(
    ["vllmd", "systemctl", "journalctl", "promtool", "nvidia-smi", "df", "ss", "top"]
)
"""What a person may be told to run on a host."""


@of_each(EVERY, lambda rule: rule.name)
def test_linter_has_no_complaints(rule: Alert | RecordingRule) -> None:
    allowed = MAY_LOOK_AT if isinstance(rule, Alert) else frozenset()
    assert list(complaints(rule.expr, may_look_at=allowed)) == []


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("sum(rate(vllmd_tokens_total[5m])) > 1", "sum forgets the host"),
        ("max by (vllmd_engine) (vllmd_engine_up) == 0", "max forgets the host"),
        ("vllmd_a == 0 and on (vllmd_engine) vllmd_b == 1", "hosts are mixed"),
        ("vllmd_a / vllmd_b > 1", "division by what may be zero"),
        ("vllmd_a / (vllmd_b) > 1", "division by what may be zero"),
        ("vllmd_a / on (instance) group_left () (vllmd_b) > 1", "division by what may be zero"),
        ("vllmd_preemptions_total > 5", "is a counter"),
        ("avg_over_time(vllmd_preemptions_total[5m]) > 5", "is a counter"),
        ("vllmd_kv_cache_usage_ratio > 95", "a ratio is compared with 95"),
        ('vllmd:ttft_slow:ratio_rate5m{a="b"} > 2.5', "a ratio is compared with 2.5"),
    ],
)
def test_linter_complains_of(expr: str, words: str) -> None:
    assert any(words in complaint for complaint in complaints(expr))


@of_each(every_alert(), lambda alert: alert.name)
def test_alert_says_what_is_wrong_and_what_to_do(alert: Alert) -> None:
    assert re.fullmatch("Vllmd[A-Z][A-Za-z]+", alert.name)
    if alert.severity is AlertSeverity.NONE:
        return
    assert ("$labels.instance" in alert.summary) == alert.of_a_host
    assert len(alert.summary) < 160
    assert alert.description.endswith(".")
    for command in re.findall(r"'vllmd ([a-z]+)", alert.summary + alert.description):
        assert command in COMMANDS, command


@of_each(every_alert(), lambda alert: alert.name)
def test_words_of_an_alert_end_with_the_command_to_run(alert: Alert) -> None:
    words = annotations(alert, RuleSettings())
    assert words["next"] == alert.run
    assert words["description"].endswith(f". Run: {alert.run}")
    program, *rest = shlex.split(alert.run)
    assert program in PROGRAMS
    if program == "vllmd":
        assert rest[0] in COMMANDS


@of_each(every_alert(), lambda alert: alert.name)
def test_cause_is_told_where_it_is_known(alert: Alert) -> None:
    words = annotations(alert, RuleSettings())
    assert ("why" in words) == bool(alert.why)
    for_grafana = annotations(alert, RuleSettings(), queries=False)
    assert ("why" in for_grafana) == (bool(alert.why) and alert.why != LAST_END)
    assert "" not in words.values()


@of_each(every_alert(), lambda alert: alert.name)
def test_every_alert_has_a_runbook(alert: Alert) -> None:
    text = runbook_pages.read(alert.name)
    assert text is not None, f"write docs/runbooks/{alert.name}.md"
    assert text.startswith(f"# {alert.name}\n")


def test_every_runbook_and_every_case_is_of_an_alert() -> None:
    names = {alert.name for alert in every_alert()}
    assert set(runbook_pages.names()) == names
    cases = Path(__file__).parents[3] / "dashboards" / "tests"
    assert {path.stem for path in cases.glob("*.yml")} == set(ALERTS)


def test_names_are_unique() -> None:
    names = [alert.name for alert in every_alert()]
    assert len(set(names)) == len(names)
