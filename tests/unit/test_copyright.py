"""tools/copyright.py: every wheel of the package, with its licence."""

import re
from importlib.metadata import distribution

import pytest

from tools import copyright as tool


def test_the_file_is_what_the_tool_writes() -> None:
    assert tool.TARGET.read_text() == tool.text(), "run 'make generate'"


def test_every_pinned_wheel_has_a_paragraph_with_a_text_or_debians() -> None:
    paragraphs = tool.text().split("\n\n")
    assert len(tool.pinned()) > 25
    for name in tool.pinned():
        (own,) = [each for each in paragraphs if f"Comment: {name}, " in each]
        terms = re.search(r"^License: (.+)$", own, re.MULTILINE)
        assert terms
        body = own.partition(terms[0])[2].partition("Comment:")[0]
        assert terms[1] in tool.SHIPPED_BY_DEBIAN or len(body) > 500, name


def test_a_licence_that_nobody_looked_at_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(tool.LICENSES, "MPL-2.0")
    with pytest.raises(SystemExit, match=r"certifi: licence 'MPL-2.0' is not known"):
        tool.text()


def test_a_wheel_without_a_holder_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(tool.HOLDERS, "multidict")
    with pytest.raises(SystemExit, match="multidict: nobody is named"):
        tool.text()


def test_folders_that_wheels_share_are_told_apart() -> None:
    assert "google/protobuf/*" in tool.patterns(distribution("protobuf"))
    assert "google/rpc/*" in tool.patterns(distribution("googleapis-common-protos"))
    assert "google/*" not in tool.patterns(distribution("protobuf"))
