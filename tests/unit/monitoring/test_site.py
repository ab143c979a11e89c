"""Labels of a site, and rules that ask for its hosts alone."""

import re

import pytest

from tests.helpers.each import of_each
from vllmd.errors import VllmdError
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.rules import LAST_END, Alert, AlertSeverity, RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.site import Matcher, Site, parse_label, parse_selector

EU = parse_selector('{cluster="eu", env!="test"}')
EVERY = [
    rule
    for groups in (ALERTS, RECORDS)
    for make in groups.values()
    for rule in make(RuleSettings()).rules
]


def narrowed(rule: Alert | RecordingRule, site: Site) -> Alert | RecordingRule:
    (found,) = site.of(RuleGroup("g", "G.", [rule])).rules
    return found


def expr_of(expr: str, site: Site) -> str:
    return narrowed(Alert("VllmdX", AlertSeverity.WARNING, expr, "s", "d", "r"), site).expr


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        ("vllmd_x > 1", 'vllmd_x{cluster="eu", env!="test"} > 1'),
        ('up{job="v"} == 0', 'up{job="v", cluster="eu", env!="test"} == 0'),
        ("rate(vllmd_x_total[5m])", 'rate(vllmd_x_total{cluster="eu", env!="test"}[5m])'),
        ("vllmd:x:p95 > 1", 'vllmd:x:p95{cluster="eu"} > 1'),
        (
            "sum by (instance, vllmd_engine) (http_requests_total)",
            'sum by (instance, vllmd_engine) (http_requests_total{cluster="eu", env!="test"})',
        ),
        ("vector(1)", "vector(1)"),
    ],
)
def test_selector_is_added_to_each_series_and_to_no_label(expr: str, wanted: str) -> None:
    assert expr_of(expr, Site(selector=EU)) == wanted


@of_each(EVERY, lambda rule: rule.name)
def test_no_series_of_a_rule_is_asked_for_without_the_selector(
    rule: Alert | RecordingRule,
) -> None:
    text = narrowed(rule, Site(selector=EU)).expr
    for found in re.finditer(r"(vllmd[_:](?!engine\b)[\w:]+|http_requests_total|\bup\{)", text):
        rest = text[found.end() - (found[0] == "up{") :]
        if '"' not in text[found.start() - 1 : found.start()]:
            assert re.match(r'\{[^{}]*cluster="eu"', rest), text


@of_each(EVERY, lambda rule: rule.name)
def test_rule_of_no_site_is_as_it_was(rule: Alert | RecordingRule) -> None:
    assert narrowed(rule, Site()) == rule


def test_recorded_series_has_the_labels_that_are_fixed() -> None:
    found = narrowed(RecordingRule("vllmd:x:y", "sum(vllmd_x)"), Site({"team": "a"}, EU))
    assert found.labels == {"cluster": "eu"}


def test_alert_has_labels_of_the_site_and_looks_up_ends_of_it() -> None:
    alert = Alert("VllmdX", AlertSeverity.WARNING, "vllmd_x", "s", "d", "r", why=LAST_END)
    found = narrowed(alert, Site({"team": "a"}, EU))
    assert found.labels == {"cluster": "eu", "team": "a"}
    assert isinstance(found, Alert)
    start = '{{ with printf "vllmd_engine_failure_info{cluster=\\"eu\\", env!=\\"test\\", instance='
    assert found.why.startswith(start)


def test_selector_may_have_any_operator_and_quotes() -> None:
    text = r'a="x,y}", b!="\"", c=~"eu|us",d!~".*"'
    assert parse_selector(f"{{{text}}}") == parse_selector(text)
    assert [str(each) for each in parse_selector(text)] == [
        'a="x,y}"',
        r'b!="\""',
        'c=~"eu|us"',
        'd!~".*"',
    ]
    assert parse_selector("a='b'".replace("'", '"')) == (Matcher("a", "=", "b"),)


@pytest.mark.parametrize(
    "text", ["", "{}", "cluster", "cluster=eu", '{cluster="eu"', 'a="b" c="d"']
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(VllmdError, match="is no selector such as"):
        parse_selector(text)


def test_label_is_a_name_and_a_value() -> None:
    assert parse_label("team=a=b") == ("team", "a=b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("team", "'team' is no label such as team=search"),
        ("te-am=a", "'te-am=a' is no label such as"),
        ("team=", "'team=' is no label such as"),
        ("instance=a", "instance says what an alert is about: take another name"),
    ],
)
def test_what_is_no_label_is_refused(text: str, words: str) -> None:
    with pytest.raises(VllmdError, match=words):
        parse_label(text)
