import json

import attrs

from vllmd.eventlog.narrative import Story
from vllmd.notify.bodies import (
    ENDS_AFTER_S,
    FORMATS,
    as_alertmanager,
    as_alertmanager_webhook,
    as_json,
    as_slack,
)
from vllmd.notify.notices import FAILED, Notice
from vllmd.util.failure_report import FailureReport

REPORT = FailureReport("chat failed.", "Killed.", ("a <b> & c",), "", ("Look.", "vllmd start chat"))
STORY = Story("chat", "t", 5.0, "killed", "operator", "It was killed.", "Look.", report=REPORT)
NOTICE = Notice(FAILED, True, 10.0, 5.0, "warning", "vllmd: chat", "why <b> & c", "chat", STORY)
OVER = attrs.evolve(NOTICE, firing=False)
OF_DAEMON = attrs.evolve(NOTICE, engine=None, story=None)


def test_every_format_is_json_for_every_notice() -> None:
    for body in FORMATS.values():
        for notice in (NOTICE, OVER, OF_DAEMON):
            assert json.loads(json.dumps(body(notice))) == body(notice)


def test_as_json_has_the_words_of_why() -> None:
    body = as_json(NOTICE)
    assert (body["status"], body["at"]) == ("firing", "1970-01-01T00:00:10.000Z")
    assert (body["cause"], body["explanation"], body["advice"]) == (
        "killed",
        "It was killed.",
        "Look.",
    )
    assert (body["text"], body["evidence"]) == ("why <b> & c", ["a <b> & c"])
    assert as_json(OVER)["status"] == "resolved"
    assert (body["why"], body["next"]) == ("Killed.", ["Look.", "vllmd start chat"])
    assert as_json(OF_DAEMON)["cause"] is None
    assert as_json(OF_DAEMON)["next"] == []


def test_as_slack_escapes_what_slack_reads() -> None:
    assert as_slack(NOTICE) == {"text": ":rotating_light: *vllmd: chat*\nwhy &lt;b&gt; &amp; c"}
    assert as_slack(OVER)["text"].startswith(":white_check_mark:")


def test_as_alertmanager_ends_when_it_is_over() -> None:
    (alert,) = as_alertmanager(NOTICE)
    assert alert["labels"] == {
        "alertname": FAILED,
        "severity": "warning",
        "job": "vllmd",
        "vllmd_engine": "chat",
    }
    assert alert["annotations"]["advice"] == "Look."
    assert alert["annotations"]["next"] == "Look.\nvllmd start chat"
    assert "done" not in alert["annotations"]
    assert alert["startsAt"] == "1970-01-01T00:00:05.000Z"
    assert alert["endsAt"] == f"1970-01-02T00:00:{10 + ENDS_AFTER_S - 86400:02.0f}.000Z"
    (over,) = as_alertmanager(OVER)
    assert (over["endsAt"], over["labels"]) == ("1970-01-01T00:00:10.000Z", alert["labels"])


def test_as_alertmanager_webhook_keeps_its_fingerprint() -> None:
    firing, over = as_alertmanager_webhook(NOTICE), as_alertmanager_webhook(OVER)
    assert (firing["version"], firing["status"], over["status"]) == ("4", "firing", "resolved")
    assert firing["alerts"][0]["fingerprint"] == over["alerts"][0]["fingerprint"]
    assert firing["groupKey"] == over["groupKey"]
    assert firing["alerts"][0]["endsAt"].startswith("0001")
