"""What is written is read back as it was."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vllmd.config.command import build
from vllmd.config.load import parse
from vllmd.importing.engine import table_of
from vllmd.importing.source import Source, read
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.table import EngineTable
from vllmd.importing.writing import value, write

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_value_is_toml(each: Any) -> None:
    assert tomllib.loads(f"x = {value(each)}")["x"] == each


def test_tables_come_after_keys_and_the_model_first() -> None:
    table = EngineTable(
        {"port": 1, "model": "m"}, {"max_loras": 2}, {"a.b": 1}, {"X": "y"}, has_lora=True
    )
    read = tomllib.loads(write({"chat": table}))["engines"]["chat"]
    assert list(read) == ["model", "port", "lora", "flags", "env"]
    assert read["flags"] == {"a.b": 1}


def test_imported_command_is_the_command_that_is_run() -> None:
    given_line = (
        "/x/vllm serve org/m --port 8001 --max-num-seqs 64 --enforce-eager -tp 2 "
        "--kv-cache-dtype fp8 --no-enable-chunked-prefill --logits-processors a b"
    )
    (launch,) = read(Source(given_line), Surroundings(), Notes())
    table = table_of(launch, Surroundings(), Notes())
    config, problems = parse(write({"chat": table}))
    argv = " ".join(build(config.engines["chat"]).argv)
    assert problems == []
    for words in (
        *("serve org/m", "--port 8001", "--max-num-seqs 64", "--enforce-eager"),
        *("--tensor-parallel-size 2", "--kv-cache-dtype fp8", "--no-enable-chunked-prefill"),
        "--logits-processors a b",
    ):
        assert words in argv
