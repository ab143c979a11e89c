"""Rules for a Prometheus that has more than these hosts: labels of a site, and a selector. Pure.

One Prometheus may scrape two clusters whose hosts have equal names: rules join series of one host
by its name, so those of one cluster must ask for it alone.
"""

import re
from collections.abc import Mapping, Sequence

import attrs

from vllmd.errors import VllmdError
from vllmd.monitoring.rules import Alert, RecordingRule, RuleGroup
from vllmd.monitoring.settings import quoted

_MATCHER = re.compile(r'\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_SERIES = re.compile(
    r"(?<![\w:$])"
    r"(vllmd_(?!engine\b)\w+|vllmd:[\w:]+|http_requests_total|up(?=\{))"
    r"(?:\{([^{}]*)\})?"
)
"""What asks for a series, and not for a label: of labels `vllmd_engine` alone begins so."""
_OF_A_TEMPLATE = re.compile(r"(?<=vllmd_engine_failure_info\{)")
OWN = frozenset({"alertname", "instance", "job", "vllmd_engine", "gpu", "uuid", "adapter", "xid"})
"""Labels that say what an alert is about."""


@attrs.frozen
class Matcher:
    """One condition of a selector, as PromQL has it."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quoted(self.value)}"


@attrs.frozen
class Site:
    """What is added to all rules."""

    labels: Mapping[str, str] = attrs.field(factory=dict)
    """Labels of each alert, for who routes them."""
    selector: Sequence[Matcher] = ()
    """Which hosts are meant, of all that are scraped."""

    def of(self, group: RuleGroup) -> RuleGroup:
        """Return a group for this site.

        What is recorded has the labels that the selector fixes, so that two sites do not record
        into one series.
        """
        return attrs.evolve(group, rules=[self._of(rule) for rule in group.rules])

    def _of(self, rule: Alert | RecordingRule) -> Alert | RecordingRule:
        expr = _SERIES.sub(lambda found: self._narrowed(found[1], found[2]), rule.expr)
        if isinstance(rule, RecordingRule):
            return attrs.evolve(rule, expr=expr, labels=self.fixed)
        escaped = "".join(f"{each}, ".replace('"', r"\"") for each in self.selector)
        why = _OF_A_TEMPLATE.sub(lambda _: escaped, rule.why)
        return attrs.evolve(rule, expr=expr, why=why, labels={**self.fixed, **self.labels})

    @property
    def fixed(self) -> dict[str, str]:
        """The labels that the selector leaves no choice of."""
        return {each.label: each.value for each in self.selector if each.operator == "="}

    def _narrowed(self, name: str, matchers: str | None) -> str:
        recorded = name.startswith("vllmd:")
        asked = [str(each) for each in self.selector if not recorded or each.operator == "="]
        text = ", ".join([*([matchers] if matchers else []), *asked])
        return f"{name}{{{text}}}" if text else name


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """Return the matchers of a selector, in braces or without.

    Raises: VllmdError: what it is not.
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    found: list[Matcher] = []
    at = 0
    while at < len(inner):
        match = _MATCHER.match(inner, at)
        if match is None:
            break
        value = re.sub(r"\\(.)", r"\1", match[3])
        found.append(Matcher(match[1], match[2], value))
        at = match.end()
    if not found or at < len(inner):
        raise VllmdError(f"""{text!r} is no selector such as '{{cluster="eu", env!="test"}}'""")
    return tuple(found)


def parse_label(text: str) -> tuple[str, str]:
    """Return a label's name and value.

    Raises: VllmdError: what it is not, or whose name it has.
    """
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or not value:
        raise VllmdError(f"{text!r} is no label such as team=search")
    if name in OWN:
        raise VllmdError(f"{name} says what an alert is about: take another name than in {text!r}")
    return name, value
