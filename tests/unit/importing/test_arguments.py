"""vLLM's arguments as flags."""

from typing import Any

import pytest

from vllmd.importing.arguments import Given, flags_of, last_of, name_of, read_value


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["m"], [Given("model", ("m",))]),
        (["--max_model_len=8"], [Given("max-model-len", ("8",))]),
        (
            ["-tp", "2", "-O3", "-tp4"],
            [
                Given("tensor-parallel-size", ("2",)),
                Given("optimization-level", ("3",)),
                Given("tensor-parallel-size", ("4",)),
            ],
        ),
        (["--no-x", "--y"], [Given("x", (), negated=True), Given("y", ())]),
        (
            ["--served-model-name", "a", "b", "--seed", "-1"],
            [Given("served-model-name", ("a", "b")), Given("seed", ("-1",))],
        ),
        (["-cc.level", "3"], [Given("compilation-config.level", ("3",))]),
        (["-O", '{"level": 3}'], [Given("compilation-config", ('{"level": 3}',))]),
        (["--a", "1", "2"], [Given("a", ("1", "2"))]),
    ],
)
def test_flags(arguments: list[str], expected: list[Given]) -> None:
    assert flags_of(arguments) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0.9", 0.9),
        ("32k", 32000),
        ("32K", 32768),
        ("1.5k", 1500),
        ("null", "null"),
        (".9", 0.9),
        ('{"a": [1]}', {"a": [1]}),
        ("true", True),
        ("x", "x"),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert read_value(text) == value


def test_last_one_counts_and_names_are_long() -> None:
    assert last_of(flags_of(["--port", "1", "--port", "2"]), "port") == 2
    assert last_of([], "port") is None
    assert name_of("-q") == "quantization"
