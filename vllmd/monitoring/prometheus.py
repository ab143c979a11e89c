"""Rules as Prometheus reads them. Pure; YAML is written here, as reading it is what is hard."""

from collections.abc import Iterator, Mapping

from vllmd.monitoring.rules import Alert, AlertSeverity, RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings, quoted

NO_NAMES = frozenset({"on", "off", "yes", "no", "y", "n", "true", "false", "null"})
"""Words that YAML 1.1 takes for values of another type."""

MADE_BY = "# Made by vllmd: 'vllmd rules export --help' has every threshold."
"""The second line of a rule file: what has it was not written by hand."""


def rule_file(group: RuleGroup, settings: RuleSettings) -> str:
    """Return a whole rule file."""
    return "\n".join(_file(group, settings)) + "\n"


def runbook_url(alert: Alert, settings: RuleSettings) -> str | None:
    """Return where an alert's page is; None if it is at a host, and the alert is of none.

    The page at a host has the engine that the alert is about in its commands.
    """
    page = f"{settings.runbooks.rstrip('/')}/{alert.name}"
    if "$labels.instance" not in settings.runbooks:
        return page
    if not alert.of_a_host:
        return None
    return f"{page}?engine={{{{ $labels.vllmd_engine }}}}" if alert.of_an_engine else page


def annotations(alert: Alert, settings: RuleSettings, *, queries: bool = True) -> dict[str, str]:
    """Return an alert's words by the names that Alertmanager's templates use.

    Without `queries`, for templates that cannot ask for a series, an engine's last end is left out.

    `why` and `next` are parts of what vllmd tells of a failure, also in its own notifications.
    """
    words = {
        "summary": alert.summary,
        "description": alert.words,
        "why": alert.why if queries or "| query }}" not in alert.why else "",
        "next": alert.run,
        "runbook_url": runbook_url(alert, settings),
    }
    return {name: text for name, text in words.items() if text}


def labels_of(labels: Mapping[str, str]) -> str:
    """Return labels on one line."""
    return "{" + ", ".join(map(label_of, labels, labels.values())) + "}"


def label_of(name: str, value: str) -> str:
    """Return one label; what YAML could take for something else is quoted."""
    own = value if value in tuple(AlertSeverity) else quoted(value)
    return f"{quoted(name) if name.lower() in NO_NAMES else name}: {own}"


def block(text: str, indent: int) -> Iterator[str]:
    """Yield the lines of a literal block, after its `|`."""
    for line in text.splitlines():
        yield " " * indent + line


def _file(group: RuleGroup, settings: RuleSettings) -> Iterator[str]:
    yield f"# {group.about}"
    yield MADE_BY
    yield "groups:"
    yield from group_lines(group, settings)


def group_lines(group: RuleGroup, settings: RuleSettings) -> Iterator[str]:
    """Yield the lines of one group, as an item of `groups:`."""
    yield f"  - name: {group.name}"
    if group.interval:
        yield f"    interval: {group.interval}"
    yield "    rules:"
    for rule in group.rules:
        yield from _record(rule) if isinstance(rule, RecordingRule) else _alert(rule, settings)


def _record(rule: RecordingRule) -> Iterator[str]:
    yield f"      - record: {rule.name}"
    yield from _expr(rule.expr)
    if rule.labels:
        yield f"        labels: {labels_of(rule.labels)}"


def _alert(rule: Alert, settings: RuleSettings) -> Iterator[str]:
    yield f"      - alert: {rule.name}"
    yield from _expr(rule.expr)
    if rule.wait != "0m":
        yield f"        for: {rule.wait}"
    if rule.keep:
        yield f"        keep_firing_for: {rule.keep}"
    severity = {settings.severity_label: str(rule.severity)}
    yield f"        labels: {labels_of({**severity, **rule.labels})}"
    yield "        annotations:"
    for name, text in annotations(rule, settings).items():
        yield f"          {name}: {quoted(text)}"


def _expr(expr: str) -> Iterator[str]:
    yield "        expr: |"
    yield from block(expr, 10)
