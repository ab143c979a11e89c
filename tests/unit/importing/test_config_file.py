"""A file of `vllm serve --config` as its arguments."""

import pytest

from vllmd.errors import VllmdError
from vllmd.importing.config_file import arguments_of


def test_each_kind_of_value_is_what_vllm_makes_of_it() -> None:
    text = (
        "model: org/m\nport: 8001\nenforce-eager: true\nenable_prefix_caching: no\n"
        "served-model-name: [a, b]\nspeculative-config: {method: ngram, n: 4, x: 0.5, y: true}\n"
        "allowed-origins: []\nseed:\n"
    )
    made, said = arguments_of(text, "x")
    assert made == [
        *("--model", "org/m", "--port", "8001", "--enforce-eager"),
        *("--served-model-name", "a", "b", "--speculative-config"),
        '{"method": "ngram", "n": 4, "x": 0.5, "y": true}',
    ]
    assert [each.split(": ")[1] for each in said] == ["enable_prefix_caching", "seed"]


def test_false_is_said_to_do_nothing_but_for_a_module() -> None:
    _, said = arguments_of("enforce-eager: false", "x")
    assert said[0].startswith("left out: enforce-eager: false: 'vllm serve' ignores a false")
    assert arguments_of("enforce-eager: false", "x", module=True) == (["--no-enforce-eager"], [])


@pytest.mark.parametrize("text", ["- a", "", "a: 1\n---\nb: 2"])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(VllmdError, match="x: it is no configuration of vLLM"):
        arguments_of(text, "x")
