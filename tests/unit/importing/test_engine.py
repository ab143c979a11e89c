"""vLLM's arguments as keys, adapters, flags and variables."""

from typing import Any

import pytest

from vllmd.importing.engine import EngineTable, table_of
from vllmd.importing.launch import Launch


def table(*arguments: str, program: tuple[str, ...] = ("vllm",), **variables: str) -> EngineTable:
    return table_of(Launch(program, arguments, variables, ()))


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["m"], "model", "m"),
        (["--model", "m"], "model", "m"),
        (["m", "--port=81"], "port", 81),
        (["m", "--max-model-len", "32k"], "max_model_len", 32000),
        (["m", "--max_model_len", "32K"], "max_model_len", 32768),
        (["m", "--max-model-len", "auto"], "max_model_len", "auto"),
        (["m", "--gpu-memory-utilization", ".9"], "gpu_memory_utilization", ".9"),
        (["m", "--gpu-memory-utilization", "0.9"], "gpu_memory_utilization", 0.9),
        (["m", "--served-model-name", "a"], "served_model_name", "a"),
        (["m", "--served-model-name", "a", "b"], "served_model_name", ["a", "b"]),
        (["m", "--no-enable-prefix-caching"], "enable_prefix_caching", False),
        (["m", "-q", "fp8"], "quantization", "fp8"),
        (["m", "--shutdown-timeout", "30"], "drain_s", 30),
    ],
)
def test_flags_with_keys_of_their_own(arguments: list[str], key: str, value: Any) -> None:
    found = table(*arguments)
    assert found.keys[key] == value
    assert found.flags == {}


@pytest.mark.parametrize(
    ("arguments", "flag", "value"),
    [
        (["-tp", "2"], "tensor-parallel-size", 2),
        (["--enforce-eager"], "enforce-eager", True),
        (["--no-enable-chunked-prefill"], "enable-chunked-prefill", False),
        (["--kv-transfer-config", '{"a": [1]}'], "kv-transfer-config", {"a": [1]}),
        (["--allowed-origins", "a", "b"], "allowed-origins", ["a", "b"]),
        (["--seed", "-1"], "seed", -1),
        (["--revision", "null"], "revision", "null"),
    ],
)
def test_all_others_are_flags(arguments: list[str], flag: str, value: Any) -> None:
    assert table("m", *arguments).flags == {flag: value}


def test_adapters_get_their_table() -> None:
    found = table(
        *("m", "--enable-lora", "--max-loras", "4", "--lora-modules"),
        *("sql=/srv/sql", '{"name": "law", "path": "/srv/law"}', "--seed", "1"),
    )
    assert found.has_lora
    assert found.lora == {"max_loras": 4, "modules": {"sql": "/srv/sql", "law": "/srv/law"}}
    assert found.flags == {"seed": 1}


def test_key_leaves_the_arguments_and_that_is_said() -> None:
    found = table("m", "--api-key", "secret", HF_HOME="/srv")
    assert found.env == {"HF_HOME": "/srv", "VLLM_API_KEY": "secret"}
    assert "secret" not in str(found.remarks)
    assert "every user of the host" in found.remarks[0]


def test_what_vllmd_cannot_have_is_left_out_and_that_is_said() -> None:
    found = table("m", "--uds", "/run/x", "--headless", "--seed", "1")
    assert found.flags == {"seed": 1}
    assert [remark.split(":")[1].strip() for remark in found.remarks[:2]] == ["--uds", "--headless"]


def test_program_is_named_unless_it_is_just_vllm() -> None:
    assert "executable" not in table("m").keys
    assert table("m", program=("/v/vllm",)).keys["executable"] == "/v/vllm"
    assert table("m", program=("py", "-m", "x")).keys["executable"] == ["py", "-m", "x"]
