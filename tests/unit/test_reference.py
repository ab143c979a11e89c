"""docs/reference is what the code makes of it, and it has all of the code's names."""

import inspect
import re
from functools import cache

import attrs
import click
import pytest

from tests.helpers.used import used_names
from tools.reference import (
    alerts,
    causes,
    commands,
    configuration,
    events,
    metrics,
    page_scene,
    symptoms,
)
from tools.reference.markdown import code, plain, table
from tools.reference.page_scene import families
from tools.reference.states import documented
from tools.reference.symptoms import Symptom
from tools.reference.written import BY_HAND, DOCS, FOLDER, files
from vllmd.cli.main import cli
from vllmd.config.reference import TABLES
from vllmd.daemon.daemon import Daemon
from vllmd.engine.state_machine import State, Trigger
from vllmd.monitoring.alerts import every_alert

made = cache(files)
PACKAGE = DOCS.parent / "vllmd"
NO_NAMES = {
    *("vllmd_config", "vllmd_web_config", "vllmd_engine"),
    "vllmd_time_to_first_token_seconds_count",
}
"""What looks like a metric in the code: the begin of one, a label, a part of a histogram."""


def test_page_is_fresh() -> None:
    stale = [path.name for path, text in made().items() if path.read_text() != text]
    assert not stale, "run 'make generate'"


def test_nothing_else_is_in_the_folder() -> None:
    pages = {path.name for path in made() if path.parent == FOLDER}
    assert {path.name for path in FOLDER.iterdir()} == pages | {BY_HAND}


def test_every_key_has_a_section() -> None:
    page = made()[FOLDER / "configuration.md"]
    for _, model in TABLES:
        for field in attrs.fields(model):
            if "rule" in field.metadata:
                assert re.search(rf"^### (\w+\.)?{field.name}$", page, re.MULTILINE), field.name


def test_type_and_rule_of_a_key_are_said() -> None:
    kinds = {kind: configuration.kind(kind) for kind in (bool, int, str | None, int | str | None)}
    assert list(kinds.values()) == ["boolean", "integer", "string", "integer or string"]
    assert configuration.kind(tuple[str, int]) == "string"
    assert configuration.kind(tuple[str, ...]) == "string or list of strings"
    page = made()[FOLDER / "configuration.md"]
    assert "Type: integer · default: `64` · accepts a whole number from 1 to 100000" in page
    assert "required · accepts a non-empty string" in page


def test_every_option_of_every_command_is_there() -> None:
    page = made()[FOLDER / "commands.md"]
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert f"\n## vllmd {name}\n" in page
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(option in page for option in parameter.opts), parameter.opts


def test_words_that_are_not_to_be_wrapped_stay_a_block() -> None:
    assert list(commands.prose("One\ntwo.\n\n\b\na  b\nc  d\n")) == [
        "One two.",
        "```text\na  b\nc  d\n```",
    ]


def test_every_collector_of_the_daemon_has_its_families() -> None:
    wired = set(re.findall(r"(\w+Collector)\(", inspect.getsource(Daemon)))
    used = set(re.findall(r"(\w+Collector)\(", inspect.getsource(page_scene._collectors)))
    assert wired == used
    assert len(wired) > 15


def test_every_metric_that_the_code_names_is_there() -> None:
    known = {family.name for found in families().values() for family in found}
    assert len(known) > 170
    texts = (path.read_text() for path in PACKAGE.rglob("*.py"))
    named = {name for text in texts for name in re.findall(r'"(vllmd_\w*[a-z0-9])"', text)}
    assert len(named) > 80
    named = {name for name in named if f"{name}_total" not in known} - NO_NAMES
    assert named <= known, sorted(named - known)


def test_every_metric_that_a_rule_asks_for_is_there() -> None:
    known = {family.name for found in families().values() for family in found}
    of_histograms = {re.sub("_(bucket|count|sum)$", "", name) for name in used_names()}
    assert of_histograms <= known | {"vllmd_cost"}, sorted(of_histograms - known)


def test_query_is_of_a_dashboard_or_of_its_type() -> None:
    of_name = {family.name: family for found in families().values() for family in found}
    assert metrics.query(of_name["vllmd_engine_adopted"]) == "vllmd_engine_adopted"
    assert "rate(" in metrics.query(of_name["vllmd_tokens_total"])
    assert "histogram_quantile(" in metrics.query(of_name["vllmd_span_prefill_seconds"])
    for family in of_name.values():
        assert "$" not in metrics.query(family)
    assert metrics.unit_of(of_name["vllmd_gpu_power_watts"]) == "watts"
    assert metrics.unit_of(of_name["vllmd_engine_up"]) == ""


def test_every_event_is_there() -> None:
    assert events.modules() == set(events._MODULES)
    page = made()[FOLDER / "events.md"]
    for module in events.modules():
        for each in events.classes(module):
            assert f"\n### {each.name}\n" in page
            assert all(f"`{field.name}`" in page for field in attrs.fields(each))


def test_every_state_and_trigger_is_explained() -> None:
    assert set(documented(State)) == {state.name for state in State}
    assert set(documented(Trigger)) == {trigger.name for trigger in Trigger}


def test_every_cause_and_alert_has_its_place() -> None:
    page = made()[FOLDER / "causes.md"]
    for name in causes.names():
        assert page.count(f"\n### {name}\n") == 1, name
    listed = made()[FOLDER / "alerts.md"]
    for alert in every_alert():
        assert f"(../runbooks/{alert.name}.md)" in listed
        assert "{{" not in alerts.summary(alert)


def test_symptoms_name_what_there_is() -> None:
    assert list(symptoms._links(Symptom("x", "y", ("killed",)))) == [
        "[`killed`](reference/causes.md#killed)"
    ]
    for wrong in (Symptom("x", "y", ("nosuch",)), Symptom("x", "y", (), ("VllmdNosuch",))):
        with pytest.raises(LookupError):
            list(symptoms._links(wrong))


def test_text_is_not_taken_for_markup() -> None:
    assert plain("a <b> [c] *d* _e") == r"a \<b\> \[c\] \*d\* \_e"
    assert plain("set max_num_seqs, or --flag=x") == "set `max_num_seqs`, or `--flag=x`"
    assert plain("run 'vllmd why' of `that`") == "run `vllmd why` of `that`"
    assert code("a `b`") == "``a `b```"
    assert table(["a"], [["`x|y`"]]) == "| a |\n| --- |\n| `x\\|y` |"
