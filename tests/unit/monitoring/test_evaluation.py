"""What promtool says of alerts is read whole; promtool itself runs in the integration tests."""

from tests.timelines.evaluation import Told, read, rules_over, written
from vllmd.monitoring.settings import RuleSettings

SAID = """
  FAILED:
    alertname: VllmdA, time: 1h5m,
        exp:[],
        got:[
            0:
              Labels:{alertname="VllmdA", gpu="0"}
              Annotations:{summary="a \\"b\\", c"},
            1:
              Labels:{alertname="VllmdA", gpu="1"}
              Annotations:{}
            ]
    alertname: VllmdB, time: 2m,
        exp:[],
        got:[
            0:
              Labels:{alertname="VllmdB"}
              Annotations:{}
            ]
"""


def test_each_alert_of_several_is_read_with_its_minute_and_its_words() -> None:
    assert list(read(SAID)) == [
        (65, Told({"alertname": "VllmdA", "gpu": "0"}, {"summary": 'a "b", c'})),
        (65, Told({"alertname": "VllmdA", "gpu": "1"}, {})),
        (2, Told({"alertname": "VllmdB"}, {})),
    ]


def test_nothing_is_read_where_nothing_fires() -> None:
    assert list(read("Unit Testing:  evaluation.yml\n  SUCCESS\n")) == []


def test_series_that_ends_is_marked_so() -> None:
    assert written([None, 1.0, 2.0, None, None]) == "_ 1.000000 2.000000 stale _"


def test_rules_that_find_nothing_are_left_out_and_those_of_what_is_recorded_are_not() -> None:
    series = {'vllmd_cost_total{instance="h"}': [1.0]}
    groups = rules_over(series, RuleSettings())
    names = {rule.name for group in groups for rule in group.rules}
    assert {"VllmdCostAboveBudget", "VllmdAbsent"} <= names
    assert "VllmdDiskFull" not in names
    assert all(group.interval is None for group in groups)
