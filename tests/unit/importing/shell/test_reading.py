import pytest

from tests.unit.importing.shell.test_state import state
from vllmd.importing.shell.reading import read
from vllmd.importing.unknown import is_unknown


@pytest.mark.parametrize(
    ("words", "separators", "document", "made"),
    [
        (["read", "-r", "-a", "PORTS"], ",", "8001,8002\n", {"PORTS": ["8001", "8002"]}),
        (["read", "-ra", "PORTS"], ",", "8001,,8002,\n", {"PORTS": ["8001", "", "8002"]}),
        (["read", "-r", "a", "b"], None, " x  y z \nmore\n", {"a": "x", "b": "y z"}),
        (["read", "-r", "a", "b"], ":", "x:y:z\n", {"a": "x", "b": "y:z"}),
        (["read", "-r", "a", "b"], None, "x\n", {"a": "x", "b": ""}),
        (["read"], None, " x y \n", {"REPLY": "x y"}),
        (["read", "-d", "", "-r", "-a", "all"], None, "x\ny\n", {"all": ["x", "y"]}),
        (["read", "-p", "which?", "-t", "5", "name"], None, "x\n", {"name": "x"}),
        (["mapfile", "-t", "lines"], None, "x y\nz\n", {"lines": ["x y", "z"]}),
        (["readarray", "lines"], None, "x\ny\n", {"lines": ["x\n", "y\n"]}),
    ],
)
def test_text_is_parted_as_the_shell_does(
    words: list[str], separators: str | None, document: str, made: dict[str, object]
) -> None:
    one = state()
    own = {} if separators is None else {"IFS": separators}
    assert read(one, words, own, document, 1)
    assert {name: one.variables[name] for name in made} == made


@pytest.mark.parametrize(
    "words", [["read", "-r", "name"], ["read", "-a", "name"], ["mapfile", "name"]]
)
def test_what_nobody_gives_is_not_known(words: list[str]) -> None:
    one = state()
    assert read(one, words, {}, None, 1) is None
    assert is_unknown("".join(one.variables["name"]))
