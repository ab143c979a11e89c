"""vLLM's arguments as keys, adapters, flags and variables."""

from typing import Any

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.importing.engine import table_of
from vllmd.importing.launch import Container, Launch
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.table import EngineTable
from vllmd.importing.unknown import Place, mark

PLACE = Place("x", 1)


def table(*arguments: str, program: tuple[str, ...] = ("vllm",), **variables: str) -> EngineTable:
    return table_of(
        Launch(program=program, arguments=arguments, variables=variables, place=PLACE),
        Surroundings(),
        Notes(),
    )


def refused(*arguments: str, **variables: str) -> list[str]:
    notes = Notes()
    launch = Launch(program=("vllm",), arguments=arguments, variables=variables, place=PLACE)
    table_of(launch, Surroundings(), notes)
    return [str(problem) for problem in notes.problems]


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["m"], "model", "m"),
        (["--model", "m"], "model", "m"),
        (["m", "--port=81"], "port", 81),
        (["m", "--max-model-len", "32k"], "max_model_len", 32000),
        (["m", "--max_model_len", "32K"], "max_model_len", 32768),
        (["m", "--max-model-len", "auto"], "max_model_len", "auto"),
        (["m", "--gpu-memory-utilization", ".9"], "gpu_memory_utilization", 0.9),
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
        (["--logits-processors", "a", "b"], "logits-processors", ["a", "b"]),
        (["--middleware", "a"], "middleware", ["a"]),
        (["--allowed-origins", '["*"]'], "allowed-origins", '["*"]'),
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


def test_secrets_leave_arguments_and_variables() -> None:
    found = table("m", "--api-key", "s3cret-aaaa", HF_HOME="/srv", HF_TOKEN="hf_bbbb")
    assert found.env == {"HF_HOME": "/srv"}
    assert found.secrets == {"hf_token": "hf_bbbb", "api_key": "s3cret-aaaa"}
    assert "/etc/vllmd/credentials/api_key" in found.reasons["--api-key"]
    assert "s3cret" not in f"{found.remarks}{found.reasons}"


def test_secret_that_is_not_known_is_to_be_written_and_says_where_it_came_from() -> None:
    found = table("m", HF_TOKEN=mark("$(cat x)", "why", PLACE))
    assert found.secrets == {"hf_token": None}
    assert found.sources == {"hf_token": "it comes from $(cat x): why"}
    assert refused("m", HF_TOKEN=mark("$(cat x)", "why", PLACE)) == []


def test_other_secrets_have_files_of_their_own() -> None:
    found = table(
        "m", AWS_SECRET_ACCESS_KEY="abc", HF_HOME="/x", HTTPS_PROXY="http://u:longpass@h:1"
    )
    assert found.env == {"HF_HOME": "/x"}
    assert found.secrets == {
        "env.AWS_SECRET_ACCESS_KEY": "abc",
        "env.HTTPS_PROXY": "http://u:longpass@h:1",
    }
    assert found.reasons["HTTPS_PROXY"].endswith("/etc/vllmd/credentials/env.HTTPS_PROXY")
    assert "has a secret in it" in refused("m", "--hf-overrides", '{"api_key": "abcdefgh"}')[0]


def test_flags_that_are_gone_are_left_out_and_never_turned_round() -> None:
    found = table("m", "--disable-log-requests", "--swap-space", "4", "--seed", "1")
    assert found.flags == {"seed": 1}
    assert "vLLM has it no more" in found.reasons["--disable-log-requests"]


def test_what_vllmd_cannot_have_is_left_out_and_that_is_said() -> None:
    found = table("m", "--uds", "/run/x", "--seed", "1")
    assert found.flags == {"seed": 1}
    assert found.keys["host"] == "127.0.0.1"
    assert found.remarks[0].startswith("left out: --uds")
    assert "it is a part of another engine" in refused("m", "--headless")[0]


@pytest.mark.parametrize("text", ["${M}", "$M", "x-$(M)", "{{ .Values.model }}"])
def test_value_with_a_variable_left_in_it_is_never_written(text: str) -> None:
    assert "nothing puts a value in here" in refused(text)[0]
    assert "nothing puts a value in here" in refused("m", HF_HOME=text)[0]


def test_what_is_not_known_is_refused_with_its_place() -> None:
    unknown = mark("$P", "it is set nowhere", Place("run.sh", 4))
    assert refused("m", "--port", unknown, CUDA_VISIBLE_DEVICES=unknown) == [
        "run.sh:4: $P: it is set nowhere"
    ]
    assert refused("--port", "1") == [
        "x:1: the command names no model: write it after 'serve', or as --model"
    ]


def test_published_port_and_gpus_of_a_container_become_the_hosts() -> None:
    container = Container(image="vllm/vllm-openai:v0.25.1", published={8000: ("10.0.0.1", 80)})
    launch = Launch(
        program=("vllm",),
        arguments=("m",),
        variables={"CUDA_VISIBLE_DEVICES": "1", "NVIDIA_VISIBLE_DEVICES": "2,3"},
        place=PLACE,
        container=container,
        gpus=("2", "3"),
    )
    found = table_of(launch, Surroundings(), Notes())
    assert (found.keys["host"], found.keys["port"]) == ("10.0.0.1", 80)
    assert found.env == {"CUDA_VISIBLE_DEVICES": "3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_program_is_named_unless_it_is_just_vllm() -> None:
    assert "executable" not in table("m").keys
    assert table("m", program=("/v/vllm",)).keys["executable"] == "/v/vllm"
    assert table("m", program=("py", "-m", "x")).keys["executable"] == ["py", "-m", "x"]


def test_variables_that_vllm_has_no_more_are_left_out_and_unknown_ones_said() -> None:
    made = table("m", VLLM_USE_V1="1", VLLM_LOGGING_LEVEL="DEBUG", VLLM_MADE_UP="1")
    assert made.env == {"VLLM_LOGGING_LEVEL": "DEBUG", "VLLM_MADE_UP": "1"}
    assert made.reasons["VLLM_USE_V1"] == "vLLM has it no more: there is no other engine any more"
    assert [each for each in made.remarks if "VLLM_MADE_UP is no variable of vLLM" in each]


def test_name_that_may_be_a_folder_elsewhere_is_said() -> None:
    launch = Launch(program=("vllm",), arguments=("a/b",), place=PLACE, folder="/srv")
    said = table_of(launch, Surroundings(GivenFiles({"/srv/x": ""})), Notes()).remarks
    assert not [each for each in said if "not on this host" in each]
    said = table_of(launch, Surroundings(GivenFiles({})), Notes()).remarks
    assert [each for each in said if "write /srv/a/b" in each]


def test_what_is_started_by_hand_is_not_started() -> None:
    launch = Launch(program=("vllm",), arguments=("m",), place=PLACE, autostart=False)
    assert table_of(launch, Surroundings(), Notes()).keys["autostart"] is False


def test_keys_are_lines_of_one_secret() -> None:
    assert table("m", "--api-key", "one", "two").secrets == {"api_key": "one\ntwo"}
    unknown = mark("$K", "it is not set", PLACE)
    assert table("m", "--api-key", "one", unknown).secrets == {"api_key": None}
