from typing import Any

import pytest

from vllmd.config import rules
from vllmd.config.rules import RuleError


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (rules.text, ""),
        (rules.text, "a\0b"),
        (rules.text, 3),
        (rules.boolean, 1),
        (rules.boolean, "true"),
        (rules.integer(1, 5), 6),
        (rules.integer(1), 0),
        (rules.integer(1), True),
        (rules.integer(1), 2.0),
        (rules.number(0, 1, above=True), 0),
        (rules.number(0, 1), 1.01),
        (rules.number(0), float("nan")),
        (rules.number(0), True),
        (rules.matching("a+", "letters a"), "ab"),
        (rules.one_or_more_texts, []),
        (rules.one_or_more_texts, ["a", 1]),
        (rules.absolute_path, "relative"),
    ],
)
def test_rule_wrong_value_says_what_it_expects(rule: rules.Rule, value: Any) -> None:
    with pytest.raises(RuleError) as caught:
        rule(value)
    assert caught.value.expects


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        (rules.integer(1, 5), 5, 5),
        (rules.number(0, 1, above=True), 1, 1.0),
        (rules.one_or_more_texts, "a", ("a",)),
        (rules.one_or_more_texts, ["a", "b"], ("a", "b")),
        (rules.absolute_path, "/a/", "/a"),
        (rules.either("", rules.boolean, rules.text), "x", "x"),
    ],
)
def test_rule_right_value_is_kept(rule: rules.Rule, value: Any, kept: Any) -> None:
    assert rule(value) == kept


def test_suggest_close_word_asks_and_far_word_says_nothing() -> None:
    assert rules.suggest("modle", ["model", "port"]) == 'did you mean "model"?'
    assert rules.suggest("zebra", ["model", "port"]) == ""


@pytest.mark.parametrize("given", ["https://grafana.example.org", "http://h:3000/d/x?orgId=1#p"])
def test_web_address_takes_what_a_browser_opens(given: str) -> None:
    assert rules.web_address(given) == given


@pytest.mark.parametrize(
    "given", ["javascript:alert(1)", "https://user:pw@h/", 'https://h/"onx=1', "h", "https://", 3]
)
def test_web_address_refuses_scripts_and_passwords(given: object) -> None:
    with pytest.raises(rules.RuleError):
        rules.web_address(given)
