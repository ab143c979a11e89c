"""The same alerts for Grafana: same expressions, same words, in its own dress."""

import re
from functools import cache
from typing import Any

import yaml

from tests.helpers.each import of_each
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.rules import Alert
from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.written import grafana_alerts


@cache
def made() -> dict[str, Any]:
    return dict(yaml.safe_load(grafana_alerts(RuleSettings(), "my-prometheus")))


def rules() -> dict[str, dict[str, Any]]:
    return {rule["title"]: rule for group in made()["groups"] for rule in group["rules"]}


def test_every_alert_is_there_once() -> None:
    assert made()["apiVersion"] == 1
    assert list(rules()) == [alert.name for alert in every_alert()]
    uids = [rule["uid"] for rule in rules().values()]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch("[a-z0-9-]{1,40}", uid) for uid in uids)


@of_each(every_alert(), lambda alert: alert.name)
def test_rule_asks_and_says_the_same(alert: Alert) -> None:
    rule = rules()[alert.name]
    query, condition = rule["data"]
    assert query["model"]["expr"].strip() == alert.expr
    assert query["datasourceUid"] == "my-prometheus"
    assert (condition["refId"], condition["datasourceUid"]) == (rule["condition"], "__expr__")
    assert condition["model"] == {"refId": "B", "type": "math", "expression": "is_number($A)"}
    assert rule["for"] == alert.wait
    assert rule.get("keep_firing_for") == alert.keep
    assert rule["labels"] == {"severity": str(alert.severity)}
    assert rule["noDataState"] == "OK"
    said = rule["annotations"]["summary"]
    assert said == alert.summary.replace("$value", "$values.A.Value")
    assert "$value " not in said
