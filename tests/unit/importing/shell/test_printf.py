"""What `printf` prints."""

import shlex

import pytest

from vllmd.importing.shell.printf import formatted, with_escapes


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("'%s\\n' 4 6", "4\n6\n"),
        ("'%s=%s;' a 1 b", "a=1;b=;"),
        ("'%d' 007", "7"),
        ("'%02d-%5.1s|%-3s|' 7 ab c", "07-    a|c  |"),
        ("'%.3d' 5", "005"),
        ("'100%% %b\\t' 'a\\n'", "100% a\n\t"),
        ("%q 'a b'", "'a b'"),
        ("-- x", "x"),
        ("plain a b", "plain"),
    ],
)
def test_formats(line: str, expected: str) -> None:
    assert formatted(shlex.split(line)) == expected


@pytest.mark.parametrize("line", ["", "'%x' 1", "'%(%F)T'", "%d a", "'%*d' 3 1"])
def test_other_formats_are_not_known(line: str) -> None:
    assert formatted(shlex.split(line)) is None


def test_escapes() -> None:
    assert with_escapes("a\\tb\\x41\\101\\\\\\z") == "a\tbAA\\\\z"
