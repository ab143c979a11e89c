"""The flags of the real 0.32, as they were read from it, and what is said of a configuration."""

import json
from typing import Any

import attrs
import pytest

from tests.helpers.make import DATA, engine
from vllmd.config.problem import ProblemSeverity
from vllmd.installing.flags import FlagTable, problems, read

PROBED = json.loads((DATA / "flags" / "vllm-0.32-cpu.json").read_text())
REAL = read(PROBED)
assert REAL is not None
TABLE: FlagTable = REAL


def said(text: str, table: FlagTable = TABLE) -> list[str]:
    made = engine(text)
    return [f"{p.severity} {p.key}: {p.message}; {p.fix}" for p in problems(made, table)]


def flag(setting: str) -> list[str]:
    return said(f"flags = {{ {setting} }}")


def test_real_parser_was_read_whole() -> None:
    assert TABLE.version == "0.32.0+cpu"
    assert len(TABLE.flags) > 300
    eager = TABLE.by_name["enforce-eager"]
    assert (eager.takes, eager.names[1]) == ("nothing", "--no-enforce-eager")
    assert TABLE.by_name["max-model-len"].takes == "size"
    assert TABLE.by_name["gpu-memory-utilization"].takes == "number"
    assert TABLE.by_name["compilation-config"].takes == "json"
    assert "fp8" in TABLE.by_name["kv-cache-dtype"].choices


@pytest.mark.parametrize(
    "setting",
    [
        "enforce-eager = true",
        "enforce-eager = false",
        "enforce_eager = true",
        "max-num-batched-tokens = 8192",
        'max-num-batched-tokens = "32k"',
        'kv-cache-dtype = "fp8"',
        "cpu-offload-gb = 0.5",
        "compilation-config = { level = 3 }",
        "compilation-config.level = 3",
        "disable-log-stats = true",
        "limit-mm-per-prompt = { image = 2 }",
        "allowed-origins = '[\"a\"]'",
        'middleware = "a.b"',
        "api-server-count = 1",
    ],
)
def test_what_vllm_takes_is_silent(setting: str) -> None:
    assert flag(setting) == []


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("enforce-eagr = true", 'has no flag --enforce-eagr; did you mean "enforce-eager"?'),
        ("disable-log-requests = true", "--disable-log-requests; take the line out: requests are"),
        ("zzzz = 1", "has no flag --zzzz; 'vllmd engine flags --grep zzzz' shows what there is"),
        ('max-num-batched-tokens = "many"', "got 'many' for --max-num-batched-tokens; vLLM 0.32"),
        ('kv-cache-dtype = "fp9"', "takes one of auto, bfloat16"),
        ("data-parallel-size = [1, 2]", "takes one value: a whole number"),
        ("api-server-count = true", "takes a whole number"),
        ("disable-log-stats = false", "takes no --no-disable-log-stats: take the line out"),
        ("enforce-eager = 1", "takes no value: true or false"),
        ('allowed-origins = ["a"]', "takes one value: a table, or JSON in a string"),
        ("cpu-offload-gb = 'x'", "takes a number"),
    ],
)
def test_what_vllm_refuses_is_an_error_with_a_fix(setting: str, words: str) -> None:
    (problem,) = flag(setting)
    assert problem.startswith("error engines.chat.flags.")
    assert words in problem


def test_opposite_of_a_flag_is_no_advice_for_it() -> None:
    (problem,) = flag("disable-log-outputs = true")
    assert "enable-log-outputs" not in problem


def test_deprecated_flag_is_a_warning_in_vllms_words() -> None:
    (problem,) = flag("disable-cascade-attn = true")
    assert problem.startswith(f"{ProblemSeverity.WARNING} engines.chat.flags.disable-cascade-attn")
    assert "will be removed in v0.33.0; replace it" in problem


def test_key_that_a_version_lacks_is_named() -> None:
    kept = tuple(f for f in TABLE.flags if "--shutdown-timeout" not in f.names)
    older = attrs.evolve(TABLE, version="0.20.0", flags=kept)
    (problem,) = said("", older)
    assert "engines.chat.drain_s: vLLM 0.20.0 has no --shutdown-timeout" in problem
    assert said("") == []


@pytest.mark.parametrize("probed", [{}, {"version": "1", "flags": [{}]}, {"flags": []}])
def test_what_another_vllmd_kept_is_not_read(probed: dict[str, Any]) -> None:
    assert read(probed) is None
