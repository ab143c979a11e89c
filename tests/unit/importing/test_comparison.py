"""Then and now."""

import pytest

from vllmd.config.command import build_all
from vllmd.config.load import parse
from vllmd.importing.comparison import Comparison, compare, values_of
from vllmd.importing.engine import table_of
from vllmd.importing.launch import Launch
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place
from vllmd.importing.writing import write


def compared(*arguments: str, lost: str = "", **variables: str) -> Comparison:
    launch = Launch(
        program=("/v/vllm",), arguments=arguments, variables=variables, place=Place("x", 1)
    )
    table = table_of(launch, Surroundings(), Notes())
    table.flags.pop(lost, None)
    config, _ = parse(write({"main": table}))
    return compare("main", launch, table, build_all(config)["main"])


def test_each_difference_has_its_reason() -> None:
    found = compared("m", "--disable-log-requests", "--api-key", "s3cret-aa", "--seed", "1")
    assert not found.unexplained
    named = {each.name for each in found.differences if not each.common}
    assert named == {"--disable-log-requests", "--api-key", "--host"}
    assert "s3cret" not in f"{found}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "m", "--port=8000", "--max_model_len", "32k", "--host", "::1"),
        ("m", "-tp", "2", "--gpu-memory-utilization", ".90", "--host", "::1"),
        ("m", "--no-enable-prefix-caching", "-cc", '{"b": 1, "a": [2]}', "--host", "::1"),
    ],
)
def test_another_way_to_say_the_same_is_no_difference(arguments: tuple[str, ...]) -> None:
    assert [each for each in compared(*arguments).differences if not each.common] == []


def test_what_is_lost_without_a_reason_is_found() -> None:
    (unexplained,) = compared("m", "--seed", "1", lost="seed").unexplained
    assert (unexplained.name, unexplained.then, unexplained.now) == ("--seed", "--seed 1", None)


def test_values_of_adapters_are_equal_however_they_are_written() -> None:
    assert values_of(("m", "--lora-modules", "a=/b")) == values_of(
        ("--model", "m", "--lora-modules", '{"name": "a", "path": "/b"}')
    )
