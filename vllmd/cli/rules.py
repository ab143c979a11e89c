"""`vllmd rules`: alerts and recorded series for Prometheus or Grafana, with a site's thresholds."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from vllmd.cli import terminal
from vllmd.cli.options import CommandGroup, json_option
from vllmd.cli.table import format_table, join
from vllmd.cli.writing import output_option, remove_earlier, write_all
from vllmd.errors import VllmdError
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.prometheus import MADE_BY
from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.site import Site, parse_label, parse_selector
from vllmd.monitoring.written import (
    DATASOURCE,
    NAME,
    grafana_alerts,
    kubernetes_rules,
    rule_files,
)
from vllmd.util.units import format_bytes, parse_bytes, parse_duration

EARLIER = ("alerts/*.yml", "rules/*.yml", "alerts-*.yml", "records-*.yml")
"""Where this and earlier versions put rule files, below the folder."""
FORMATS = ("prometheus", "grafana", "prometheusrule")


class _Seconds(click.ParamType[Any]):
    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Duration(_Seconds):
    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not re.fullmatch(r"(\d+(ms|[smhdw]))+", str(value)):
            self.fail(
                f"{value!r} is no length of time as Prometheus has it, such as 30m", param, ctx
            )
        return value


class _Size(click.ParamType[Any]):
    name = "SIZE"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Label(click.ParamType[Any]):
    name = "LABEL"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value)
        if not text.isidentifier() or not text.isascii():
            self.fail(f"{text!r} is no name of a label such as 'severity'", param, ctx)
        return text


_TYPES: dict[str, click.ParamType[Any]] = {
    "text": click.STRING,
    "label": _Label(),
    "seconds": _Seconds(),
    "duration": _Duration(),
    "ratio": click.FloatRange(0, 1, min_open=True, max_open=True),
    "count": click.IntRange(1),
    "bytes": _Size(),
}


def option_of(name: str) -> str:
    """Return the option of a setting: a number's unit is written with it, not in the name."""
    for unit in ("_s", "_bytes", "_ratio"):
        name = name.removesuffix(unit)
    return "--" + name.replace("_", "-")


def _shown(kind: str, value: Any) -> str:
    """Return a default as it would be typed."""
    if kind == "seconds":
        return f"{value:g}s"
    return format_bytes(value) if kind == "bytes" else str(value)


def _settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each setting."""
    for field in reversed(attrs.fields(RuleSettings)):
        function = click.option(
            option_of(field.name),
            field.name,
            type=_TYPES[field.metadata["kind"]],
            default=field.default,
            show_default=_shown(field.metadata["kind"], field.default),
            help=field.metadata["help"],
        )(function)
    return function


@click.group(cls=CommandGroup)
def command() -> None:
    """Export vllmd's alerts for Prometheus, its operator or Grafana, with your thresholds."""


@command.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="prometheus",
    show_default=True,
    help="Prometheus' rule files, a file of alerts that Grafana manages, or an object for "
    "Prometheus' operator on Kubernetes.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="A label of each alert, such as team=search; repeatable.",
)
@click.option(
    "--selector",
    metavar="SELECTOR",
    help="Ask only for series of these hosts, where Prometheus scrapes more: '{cluster=\"eu\"}'.",
)
@click.option(
    "--object-label",
    "object_labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="For Prometheus' operator: a label by which it chooses objects, such as "
    "release=prometheus; repeatable.",
)
@click.option(
    "--object-name",
    default=NAME,
    show_default=True,
    help="For Prometheus' operator: the name of the object.",
)
@click.option(
    "--datasource",
    default=DATASOURCE,
    show_default=True,
    help="For Grafana: the uid of the Prometheus that scrapes vllmd.",
)
@_settings
@output_option
@json_option
def export(
    form: str,
    datasource: str,
    labels: tuple[str, ...],
    selector: str | None,
    object_labels: tuple[str, ...],
    object_name: str,
    output: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Write the rules: to a folder, or all of them as one file to standard output.

    Prometheus takes the folder with one line: rule_files: [FOLDER/*.yml]. 2.42 or later reads
    them; 'promtool check rules' is a second pair of eyes. Rule files that an earlier version wrote
    there under other names are removed.
    """
    try:
        settings = RuleSettings(**chosen)
        site = Site(_labels(labels, settings), parse_selector(selector) if selector else ())
        of_the_object = dict(parse_label(each) for each in object_labels)
    except VllmdError as error:
        raise click.UsageError(str(error)) from None
    if form == "grafana":
        files = {"vllmd-alerts.yml": grafana_alerts(settings, datasource, site)}
    elif form == "prometheusrule":
        text = kubernetes_rules(settings, site, of_the_object, object_name)
        files = {"vllmd-prometheusrule.yml": text}
    else:
        files = rule_files(settings, site)
    if output is None:
        terminal.echo_text(_joined(list(files.values())), nl=False)
    else:
        write_all(output, files, as_json=as_json)
        folder = Path(output)
        if form == "prometheus" and remove_earlier(folder, EARLIER, MADE_BY, files):
            hint = f"Prometheus' configuration needs rule_files: [{folder}/*.yml]"
            terminal.echo(hint, err=True)


def _labels(given: tuple[str, ...], settings: RuleSettings) -> dict[str, str]:
    """Return labels of alerts by name.

    Raises: VllmdError: one of them cannot be.
    """
    found = dict(parse_label(each) for each in given)
    if settings.severity_label in found:
        raise VllmdError(f"{settings.severity_label} says how bad an alert is: take another name")
    return found


def _joined(files: list[str]) -> str:
    """Return one file of several: the groups of all of them."""
    if len(files) == 1:
        return files[0]
    return "groups:\n" + "".join(text.partition("\ngroups:\n")[2] for text in files)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show every alert: how bad it is, and how long it waits."""
    alerts = every_alert()
    if as_json:
        shown = [{**attrs.asdict(alert), "severity": str(alert.severity)} for alert in alerts]
        terminal.echo_json(shown, indent=2)
        return
    rows = [[alert.name, str(alert.severity), alert.wait] for alert in alerts]
    for cells in format_table(["ALERT", "SEVERITY", "FOR"], rows):
        terminal.echo(join(cells))
