"""A notice as the programs of others read it. Pure: no I/O."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from vllmd.notify.notices import Notice
from vllmd.util.failure_report import FailureReport

ENDS_AFTER_S = 86400.0
"""An alert whose end is never told ends by itself after a day."""


def as_json(notice: Notice) -> dict[str, Any]:
    """Return the body that vllmd documents: one flat object."""
    story = notice.story
    return {
        "version": 1,
        "status": _status(notice),
        "alert": notice.alert,
        "severity": notice.severity,
        "engine": notice.engine,
        "at": _time(notice.at),
        "since": _time(notice.since),
        "summary": notice.summary,
        "text": notice.text,
        "cause": story.cause if story else None,
        "kind": story.kind if story else None,
        "explanation": story.explanation if story else None,
        "advice": story.advice if story else None,
        "incident": story.incident if story else None,
        **(story.report if story else FailureReport()).to_json(),
    }


def as_slack(notice: Notice) -> dict[str, Any]:
    """Return what Slack's incoming webhooks take, and Mattermost's and Rocket.Chat's.

    Source: api.slack.com, "Formatting text for app surfaces": three characters are escaped.
    """
    sign = {True: ":rotating_light:", False: ":white_check_mark:"}[notice.firing]
    return {"text": f"{sign} *{_escaped(notice.summary)}*\n{_escaped(notice.text)}"}


def as_alertmanager(notice: Notice) -> list[dict[str, Any]]:
    """Return what Alertmanager takes at /api/v2/alerts: it routes, groups and silences then.

    Source: Alertmanager's api/v2/openapi.yaml, postableAlerts.
    """
    ends_at = notice.at if not notice.firing else notice.at + ENDS_AFTER_S
    return [{**_alert(notice), "startsAt": _time(notice.since), "endsAt": _time(ends_at)}]


def as_alertmanager_webhook(notice: Notice) -> dict[str, Any]:
    """Return what Alertmanager sends to its webhook receivers: for programs made for it.

    Source: Prometheus documentation, "Alerting configuration", webhook_config, version 4.
    """
    status, alert = _status(notice), _alert(notice)
    labels, annotations = alert["labels"], alert["annotations"]
    ends_at = "0001-01-01T00:00:00Z" if notice.firing else _time(notice.at)
    key = f'{{}}:{{alertname="{notice.alert}", vllmd_engine="{notice.engine or ""}"}}'
    one = {
        **alert,
        "status": status,
        "startsAt": _time(notice.since),
        "endsAt": ends_at,
        "generatorURL": "",
        "fingerprint": hashlib.sha256(key.encode()).hexdigest()[:16],
    }
    return {
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "vllmd",
        "groupLabels": {"alertname": notice.alert},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [one],
    }


FORMATS: Mapping[str, Callable[[Notice], Any]] = {
    "json": as_json,
    "slack": as_slack,
    "alertmanager": as_alertmanager,
    "alertmanager-webhook": as_alertmanager_webhook,
}


def _alert(notice: Notice) -> dict[str, Any]:
    labels = {"alertname": notice.alert, "severity": notice.severity, "job": "vllmd"}
    annotations = {"summary": notice.summary, "description": notice.text}
    if notice.engine is not None:
        labels["vllmd_engine"] = notice.engine
    if notice.story is not None:
        if notice.story.advice:
            annotations["advice"] = notice.story.advice
        for part, said in notice.story.report.to_json().items():
            if said:
                annotations[part] = said if isinstance(said, str) else "\n".join(said)
    return {"labels": labels, "annotations": annotations}


def _status(notice: Notice) -> str:
    return "firing" if notice.firing else "resolved"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
