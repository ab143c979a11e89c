"""What filters make of a text."""

import shlex

import pytest

from vllmd.importing.shell.text_tools import filtered


@pytest.mark.parametrize(
    ("line", "text", "expected"),
    [
        ("tr , '\\n'", "a,b\n", "a\nb\n"),
        ("tr -d ' '", "a b\n", "ab\n"),
        ("tr -cd ,", "a,b\n", ","),
        ("tr a-z A-Z", "ab-c\n", "AB-C\n"),
        ("tr '[:upper:]' '[:lower:]'", "Ab\n", "ab\n"),
        ("tr /: -", "a/b:c", "a-b-c"),
        ("wc -l", "a\nb\n", "2\n"),
        ("wc -w", "a b\n", "2\n"),
        ("wc -c", "ü", "2\n"),
        ("wc -m", "ü", "1\n"),
        ("cut -d: -f2", "a:b:c\nx\n", "b\nx\n"),
        ("cut -f 2- -d ,", "a,b,c\n", "b,c\n"),
        ("head -n 1", "a\nb\n", "a\n"),
        ("tail -1", "a\nb\n", "b\n"),
        ("awk -F, '{print NF}'", "a,b\n", "2\n"),
        ("awk -F / '{print $NF}'", "a/b\n", "b\n"),
        ("awk '{ print $1 }'", "a b\n", "a\n"),
        ("awk '{print $3}'", "a b\n", "\n"),
        ("grep -o ,", "a,b,c\n", ",\n,\n"),
        ("grep -v '^#'", "#x\ny\n", "y\n"),
        ("cat", "a", "a"),
        ("xargs", "a\nb\n", "a b\n"),
    ],
)
def test_filter(line: str, text: str, expected: str) -> None:
    assert filtered(shlex.split(line), text) == expected


@pytest.mark.parametrize(
    "line",
    [
        *("sha1sum", "wc", "wc -L", "tr -s a", "tr a", "tr '[:alpha:]' b", "cut -c 1", "head -n"),
        *("head -c 3", "awk '{s+=$1} END {print s}'", "grep x", "cat -n", "xargs echo"),
    ],
)
def test_what_is_not_read_is_not_known(line: str) -> None:
    assert filtered(shlex.split(line), "a\n") is None
