import pytest

from tests.unit.config.test_load import problems_of
from vllmd.config.load import parse
from vllmd.config.toml_text import MAX_DEPTH, has_larger

WIDE = "0x" + "f" * 5000


@pytest.mark.long
@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a = 1\nx = " + "[" * 5000 + "]" * 5000, 2),
        ("x = " + "[" * 500 + "]" * 500, 1),
        ("x = " + "{a = " * 5000 + "1" + "}" * 5000, 1),
        ("\n\n" + "a." * 5000 + "b = 1", 3),
        ("[" + "a." * 5000 + "b]\nx = 1", 1),
        ("x = " + "[\n" * 5000 + "]" * 5000, None),
    ],
)
def test_read_nested_too_deep_is_a_problem_with_its_line(source: str, line: int | None) -> None:
    [problem] = problems_of(source)
    assert problem.message == f"has tables or lists nested deeper than {MAX_DEPTH}"
    assert problem.line == line


def test_read_takes_tables_as_deep_as_vllm_has_them() -> None:
    flags = "{ a = [{ b = { c = [[1]] } }] }"
    parse(f"[engines.a]\nmodel = 'm'\n[engines.a.flags]\nkv-transfer-config = {flags}\n")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("[daemon]\npoll_s = " + "9" * 5000, 2),
        (f"[daemon]\npoll_s = {WIDE}", 2),
        (f"[engines.a]\nmodel = 'm'\nport = {WIDE}", 3),
        (f"[engines.a]\nmodel = 'm'\nflags.x = [1, {{ a = {WIDE} }}]", 3),
        (f"x = {WIDE}\ny = {WIDE}", None),
        (f"x = {2**63}", 1),
    ],
)
def test_read_number_beyond_64_bits_is_a_problem_with_its_line(
    source: str, line: int | None
) -> None:
    """Found by `make fuzz`: nothing that large can be written again, and ended a reload."""
    [problem] = problems_of(source)
    assert problem.message == "has a whole number beyond 64 bits, the most that TOML has"
    assert problem.line == line


def test_read_number_of_a_variable_beyond_64_bits_is_text() -> None:
    env = {"VLLMD__ENGINES__A__FLAGS__X": WIDE, "VLLMD__ENGINES__A__MODEL": "m"}
    config, _ = parse("", env=env)
    assert config.engines["a"].flags["x"] == WIDE


def test_has_larger_the_largest_of_toml_is_none() -> None:
    assert not has_larger({"a": [2**63 - 1, -(2**63), True, 1.5, "x"]})
    assert has_larger([{"a": -(2**63) - 1}])
