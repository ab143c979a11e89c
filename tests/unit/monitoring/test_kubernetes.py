"""The object for Prometheus' operator: the same groups, in its own frame."""

import yaml

from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.written import kubernetes_rules, rule_files


def test_object_has_all_groups_as_the_files_have_them() -> None:
    settings = RuleSettings()
    made = yaml.safe_load(kubernetes_rules(settings, labels={"release": "on"}, name="eu"))
    assert made["apiVersion"] == "monitoring.coreos.com/v1"
    assert made["kind"] == "PrometheusRule"
    assert made["metadata"] == {"name": "eu", "labels": {"release": "on"}}
    files = [yaml.safe_load(text) for text in rule_files(settings).values()]
    assert made["spec"]["groups"] == [group for file in files for group in file["groups"]]


def test_object_without_labels_has_none() -> None:
    assert yaml.safe_load(kubernetes_rules(RuleSettings()))["metadata"] == {"name": "vllmd"}
