"""vLLM's arguments as flags."""

from typing import Any

import pytest

from vllmd.importing.arguments import GivenFlag, flags_of, last_of, name_of, read_value

MODEL = GivenFlag("model", ("m",))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["m"], [GivenFlag("model", ("m",))]),
        (["--max_model_len=8"], [GivenFlag("max-model-len", ("8",))]),
        (
            ["-tp", "2", "-O3", "-tp=4"],
            [
                GivenFlag("tensor-parallel-size", ("2",)),
                GivenFlag("optimization-level", ("3",)),
                GivenFlag("tensor-parallel-size", ("4",)),
            ],
        ),
        (["--no-x", "--y"], [GivenFlag("x", (), negated=True), GivenFlag("y", ())]),
        (
            ["--served-model-name", "a", "b", "--seed", "-1"],
            [GivenFlag("served-model-name", ("a", "b")), GivenFlag("seed", ("-1",))],
        ),
        (["-cc.level", "3"], [GivenFlag("compilation-config.level", ("3",))]),
        (["-O", '{"level": 3}'], [GivenFlag("compilation-config", ('{"level": 3}',))]),
        (["-O.level", "3"], [GivenFlag("compilation-config.level", ("3",))]),
        (["--port", "1", "m"], [GivenFlag("port", ("1",)), GivenFlag("model", ("m",))]),
        (["--enforce-eager", "m"], [GivenFlag("enforce-eager", ()), GivenFlag("model", ("m",))]),
        (
            ["--no-enable_prefix_caching", "m"],
            [GivenFlag("enable-prefix-caching", (), True), MODEL],
        ),
        (["--enable-prefix-caching", "False"], [GivenFlag("enable-prefix-caching", ("False",))]),
        (["m", "--port", "1", "2"], [MODEL, GivenFlag("port", ("1",)), GivenFlag("", ("2",))]),
        (
            ["--middleware", "a", "m", "--middleware=b"],
            [GivenFlag("middleware", ("a", "b")), MODEL],
        ),
        (["--max-model", "1"], [GivenFlag("max-model-len", ("1",))]),
        (["--tensor-parallel=2"], [GivenFlag("tensor-parallel-size", ("2",))]),
        (["--no-enable-prefix"], [GivenFlag("enable-prefix-caching", (), True)]),
        (["--enable"], [GivenFlag("enable", ())]),
        (["--swap-space", "4"], [GivenFlag("swap-space", ("4",))]),
        (["--device-memory-utilization", "1"], [GivenFlag("gpu-memory-utilization", ("1",))]),
    ],
)
def test_flags(arguments: list[str], expected: list[GivenFlag]) -> None:
    assert flags_of(arguments) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0.9", 0.9),
        ("32k", 32000),
        ("32K", 32768),
        ("1.5k", 1500),
        ("1T", 1 << 40),
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
