"""Files of variables as compose reads them."""

import pytest

from vllmd.importing.containers.dotenv import dotenv, raw_variables
from vllmd.importing.surroundings import Notes


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X=a # why", "a"),
        ("X=a#b", "a#b"),
        ("X=# why", ""),
        ('X="a # b" # why', "a # b"),
        ("X='$A # b'", "$A # b"),
        ("export X = $A/b", "1/b"),
        ('X="${A}\\n\\$A"', "1\n$A"),
        ("X: yaml", "yaml"),
        ("X=${B:-2}", "2"),
    ],
)
def test_values(line: str, value: str) -> None:
    assert dotenv(f"# x\n{line}\nnot\n", "/x/.env", {"A": "1"}, Notes())["X"] == value


def test_value_may_have_one_before_it() -> None:
    assert dotenv("A=/srv\nB=${A}/hf\n", ".env", {}, Notes()) == {"A": "/srv", "B": "/srv/hf"}


def test_raw_values_are_as_they_are() -> None:
    assert raw_variables("# x\nA='$B' # c\n\nnot\n") == {"A": "'$B' # c"}
