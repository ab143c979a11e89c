"""Rule files as YAML: what is written is what was meant."""

import yaml

from vllmd.monitoring.prometheus import rule_file, runbook_url
from vllmd.monitoring.rules import Alert, AlertSeverity, RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings

ALERT = Alert(
    "VllmdX",
    AlertSeverity.WARNING,
    """
    vllmd_x{a="b"} > 1
      and vllmd_y == 1
    """,
    'it\'s "x": {{ $labels.instance }}',
    "Do: y # not a comment",
    "vllmd status",
    wait="5m",
    keep="15m",
)
GROUP = RuleGroup(
    "vllmd-x", "About x.", [RecordingRule("vllmd:x:y", "sum(vllmd_x)"), ALERT], interval="30s"
)


def test_file_says_what_the_rules_say() -> None:
    text = rule_file(GROUP, RuleSettings(severity_label="level", runbooks="https://w/r/"))
    assert text.startswith("# About x.\n")
    (group,) = yaml.safe_load(text)["groups"]
    record, alert = group["rules"]
    assert (group["name"], group["interval"]) == ("vllmd-x", "30s")
    assert record == {"record": "vllmd:x:y", "expr": "sum(vllmd_x)\n"}
    assert alert == {
        "alert": "VllmdX",
        "expr": 'vllmd_x{a="b"} > 1\n  and vllmd_y == 1\n',
        "for": "5m",
        "keep_firing_for": "15m",
        "labels": {"level": "warning"},
        "annotations": {
            "summary": ALERT.summary,
            "description": "Do: y # not a comment Run: vllmd status",
            "next": "vllmd status",
            "runbook_url": "https://w/r/VllmdX",
        },
    }


def test_alert_that_fires_at_once_has_no_for() -> None:
    plain = Alert("VllmdX", AlertSeverity.CRITICAL, "vllmd_x > 1", "s", "d", "r")
    assert "for:" not in rule_file(RuleGroup("g", "G.", [plain]), RuleSettings())


def test_alert_of_no_host_has_no_page_at_a_host() -> None:
    watchdog = Alert("VllmdX", AlertSeverity.NONE, "vector(1)", "s", "d", "r", of_a_host=False)
    assert runbook_url(watchdog, RuleSettings()) is None
    assert runbook_url(watchdog, RuleSettings(runbooks="https://w")) == "https://w/VllmdX"
    assert runbook_url(ALERT, RuleSettings()) == "http://{{ $labels.instance }}/runbooks/VllmdX"


def test_page_of_an_alert_about_an_engine_has_that_engine_in_its_commands() -> None:
    summary = "{{ $labels.vllmd_engine }} is down"
    down = Alert("VllmdX", AlertSeverity.CRITICAL, "vllmd_x > 1", summary, "d", "r")
    at_host = "http://{{ $labels.instance }}/runbooks/VllmdX?engine={{ $labels.vllmd_engine }}"
    assert runbook_url(down, RuleSettings()) == at_host
    assert runbook_url(down, RuleSettings(runbooks="https://w")) == "https://w/VllmdX"
