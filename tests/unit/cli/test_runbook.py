"""`vllmd runbook`: a page, the list, and a hint at a name that is nearly right."""

import json

import pytest
from click.testing import CliRunner

from vllmd.cli.runbook import command
from vllmd.errors import VllmdError
from vllmd.http import runbook_pages


def test_page_is_printed_as_it_is_kept() -> None:
    result = CliRunner().invoke(command, ["VllmdDown"])
    assert result.output == runbook_pages.read("VllmdDown")
    shown = json.loads(CliRunner().invoke(command, ["VllmdDown", "--json"]).output)
    assert shown == {"alert": "VllmdDown", "markdown": runbook_pages.read("VllmdDown")}


def test_without_a_name_all_are_listed() -> None:
    assert CliRunner().invoke(command, []).output.split() == runbook_pages.names()
    assert json.loads(CliRunner().invoke(command, ["--json"]).output) == runbook_pages.names()


def test_unknown_name_is_refused_with_a_hint() -> None:
    with pytest.raises(VllmdError, match="no runbook 'VllmdGone'; did you mean \"VllmdDown\""):
        CliRunner().invoke(command, ["VllmdGone"], catch_exceptions=False)
