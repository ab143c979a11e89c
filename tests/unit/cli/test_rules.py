"""`vllmd rules`: every threshold from the command line, and clear words for what it refuses."""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from click.testing import CliRunner, Result

from vllmd.cli.rules import command, option_of
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.written import rule_files


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def alert(text: str, name: str) -> Any:
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    return next(rule for rule in rules if rule.get("alert", rule.get("title")) == name)


def test_one_file_has_all_groups() -> None:
    text = run("export").output
    groups = [group["name"] for group in yaml.safe_load(text)["groups"]]
    kept = [
        yaml.safe_load(each)["groups"][0]["name"] for each in rule_files(RuleSettings()).values()
    ]
    assert groups == kept


@pytest.mark.long
def test_thresholds_reach_the_rules() -> None:
    text = run(
        *("export", "--ttft", "5s", "--severity-label", "level", "--not-ready", "1h"),
        *("--leak", "2GiB", "--job", 'my "gpus"', "--runbooks", "https://w/r"),
    ).output
    ready = alert(text, "VllmdEngineNotReady")
    assert ready["for"] == "1h"
    assert ready["labels"] == {"level": "critical"}
    assert ready["annotations"]["runbook_url"] == "https://w/r/VllmdEngineNotReady"
    assert f"> {2 * 1024**3}" in alert(text, "VllmdVramLeak")["expr"]
    assert alert(text, "VllmdDown")["expr"].startswith('up{job="my \\"gpus\\""} == 0')
    assert "later than 5 s" in alert(text, "VllmdTtftBudgetBurn")["annotations"]["summary"] or (
        "longer than 5 s" in alert(text, "VllmdTtftBudgetBurn")["annotations"]["summary"]
    )


def test_every_setting_has_an_option_with_help() -> None:
    shown = " ".join(run("export", "--help").output.split())
    for field in attrs.fields(RuleSettings):
        assert f"{option_of(field.name)} " in shown


def test_folder_gets_a_file_for_each_group(tmp_path: Path) -> None:
    result = run("export", "--output", str(tmp_path), "--json")
    written = [str(Path(each).relative_to(tmp_path)) for each in json.loads(result.output)]
    assert written == list(rule_files(RuleSettings()))


def test_files_that_an_earlier_version_wrote_are_removed_and_no_others(tmp_path: Path) -> None:
    old = rule_files(RuleSettings())["alerts-gpu.yml"]
    ours = ("alerts/gpu.yml", "rules/slo.yml", "alerts-old.yml")
    theirs = ("alerts/mine.yml", "other/gpu.yml", "mine.yml", "vllmd-alerts.yml", "alerts-a.yml")
    texts = {**dict.fromkeys(ours, old), **dict.fromkeys(theirs, "groups: []\n")}
    for name, text in {**texts, "other/gpu.yml": old}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "records-link.yml").symlink_to(tmp_path / "other" / "gpu.yml")
    result = run("export", "--output", str(tmp_path), "--json")
    kept = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(kept) == sorted([*rule_files(RuleSettings()), *theirs, "records-link.yml"])
    assert not (tmp_path / "rules").exists()
    assert len(json.loads(result.stdout)) == len(rule_files(RuleSettings()))
    for name in ours:
        assert f"removed {tmp_path}/{name}, which an earlier version wrote" in result.stderr
    assert f"rule_files: [{tmp_path}/*.yml]" in result.stderr
    assert run("export", "--output", str(tmp_path)).stderr == ""


def test_other_forms_leave_rule_files_alone(tmp_path: Path) -> None:
    run("export", "--output", str(tmp_path))
    run("export", "--format", "grafana", "--output", str(tmp_path))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*rule_files(RuleSettings()), "vllmd-alerts.yml"}


def test_grafana_has_its_own_form(tmp_path: Path) -> None:
    text = run("export", "--format", "grafana", "--datasource", "prom-1").output
    assert alert(text, "VllmdDown")["data"][0]["datasourceUid"] == "prom-1"
    result = run("export", "--format", "grafana", "-o", str(tmp_path))
    assert result.output == f"wrote {tmp_path}/vllmd-alerts.yml\n"


@pytest.mark.parametrize("form", ["prometheus", "grafana"])
def test_labels_and_a_selector_are_in_each_form(form: str) -> None:
    text = run(
        *("export", "--format", form, "--label", "team=search", "--label", "on=yes"),
        *("--selector", '{cluster="eu"}'),
    ).output
    down = alert(text, "VllmdDown")
    wanted = {"severity": "critical", "cluster": "eu", "team": "search", "on": "yes"}
    assert down["labels"] == wanted
    expr = down["expr"] if form == "prometheus" else down["data"][0]["model"]["expr"]
    assert expr.startswith('up{job="vllmd", cluster="eu"} == 0')
    assert expr.count('cluster="eu"') == expr.count("up{")


def test_operator_has_its_own_form(tmp_path: Path) -> None:
    chosen = ("export", "--format", "prometheusrule", "--object-label", "release=on")
    made = yaml.safe_load(run(*chosen, "--object-name", "eu").output)
    assert made["metadata"] == {"name": "eu", "labels": {"release": "on"}}
    result = run(*chosen, "-o", str(tmp_path))
    assert result.output == f"wrote {tmp_path}/vllmd-prometheusrule.yml\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ttft", "2s"], "--ttft 2s: vLLM's histogram has no bound there"),
        (["--ttft", "soon"], "'soon' is no length of time such as"),
        (["--not-ready", "1.5h"], "'1.5h' is no length of time as Prometheus has it"),
        (["--leak", "big"], "'big' is no size such as 512MiB"),
        (["--severity-label", "se-verity"], "'se-verity' is no name of a label"),
        (["--errors", "1.5"], "1.5 is not in the range 0<x<1"),
        (["--label", "team"], "'team' is no label such as team=search"),
        (["--label", "severity=x"], "severity says how bad an alert is: take another name"),
        (["--label", "gpu=x"], "gpu says what an alert is about"),
        (["--selector", "eu"], "'eu' is no selector such as '{cluster=\"eu\", env!=\"test\"}'"),
        (["--restarts", "0"], "0 is not in the range x>=1"),
    ],
)
def test_refusal_names_the_value(arguments: list[str], words: str) -> None:
    result = run("export", *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_list_shows_every_alert() -> None:
    assert len(run("list").output.splitlines()) == 1 + len(every_alert())
    shown = json.loads(run("list", "--json").output)
    assert [each["name"] for each in shown] == [each.name for each in every_alert()]
