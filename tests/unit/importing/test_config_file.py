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
    assert arguments_of(text, "x") == [
        *("--model", "org/m", "--port", "8001", "--enforce-eager", "--no-enable_prefix_caching"),
        *("--served-model-name", "a", "b", "--speculative-config"),
        '{"method": "ngram", "n": 4, "x": 0.5, "y": true}',
    ]


@pytest.mark.parametrize("text", ["- a", "", "a: 1\n---\nb: 2"])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(VllmdError, match="x: it is no configuration of vLLM"):
        arguments_of(text, "x")
