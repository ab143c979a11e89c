import json
from pathlib import Path

import pytest

from tests.helpers.each import of_each
from tests.helpers.make import config, engine
from vllmd.config import command, preload
from vllmd.config.command import Command
from vllmd.config.flags import OWN_KEYS
from vllmd.config.problem import InvalidConfigError

RUN = Path("/run/vllmd")


def built(text: str) -> Command:
    return command.build(engine(f"preload = true\n{text}"), {"PATH": "/bin"}, run=RUN)


def weights(text: str) -> Command:
    found = built(text).weights
    assert found is not None
    return found


def test_engine_maps_what_the_other_command_hands_out() -> None:
    one = built('quantization = "fp8"\nmax_model_len = 100\nflags = { tensor-parallel-size = 2 }')
    folder = "/run/vllmd/weights/chat"
    assert one.argv[-4:] == (
        "--load-format",
        "ipc_cache",
        "--model-loader-extra-config",
        json.dumps({"socket_dir": folder}),
    )
    assert one.weights is not None
    assert one.weights.argv == (
        *("vllm", "preload", "--model", "m", "--quantization", "fp8", "--max-model-len", "100"),
        *("--tensor-parallel-size", "2", "--weight-cache-socket-dir", folder),
    )
    assert command.build(engine(), {}).weights is None


@pytest.mark.parametrize(
    "text",
    [
        "gpu_memory_utilization = 0.5",
        "max_num_seqs = 7",
        "enable_prefix_caching = true",
        "drain_s = 3",
        'served_model_name = "x"',
        "port = 8001",
        "traces = false",
        'env = { HF_TOKEN = "a", VLLM_API_KEY = "b" }',
    ],
)
def test_what_leaves_weights_as_they_are_makes_no_other_command(text: str) -> None:
    assert weights(text).hash == weights("").hash


@of_each(preload.NO_EFFECT - {"otlp-traces-endpoint"})
def test_flag_without_effect_on_weights_makes_no_other_command(name: str) -> None:
    assert weights(f"flags = {{ {name} = true }}").hash == weights("").hash


@pytest.mark.parametrize(
    "text",
    [
        "max_model_len = 7",
        'quantization = "fp8"',
        "lora = { max_loras = 2 }",
        'executable = "/opt/vllm/bin/vllm"',
        'env = { CUDA_VISIBLE_DEVICES = "1" }',
        'env = { NOBODY_KNOWS = "1" }',
        "flags = { enforce-eager = true }",
        'flags = { dtype = "half" }',
        "flags = { a-flag-of-tomorrow = 1 }",
    ],
)
def test_what_may_make_other_weights_makes_another_command(text: str) -> None:
    assert weights(text).hash != weights("").hash


def test_environment_of_the_two_is_the_same_but_for_what_only_the_api_needs() -> None:
    one = built('env = { CUDA_VISIBLE_DEVICES = "3", HF_TOKEN = "t", VLLM_API_KEY = "k" }')
    assert one.weights is not None
    assert one.weights.env["CUDA_VISIBLE_DEVICES"] == one.env["CUDA_VISIBLE_DEVICES"] == "3"
    assert one.weights.env["HF_TOKEN"] == "t"
    assert "VLLM_API_KEY" not in one.weights.env


def test_flags_with_a_key_of_their_own_are_decided_here_too() -> None:
    passed = {"model", "quantization", "max-model-len", "enable-lora", "max-loras", "max-lora-rank"}
    left_out = {
        *("served-model-name", "host", "port", "gpu-memory-utilization", "max-num-seqs"),
        *("enable-prefix-caching", "shutdown-timeout", "lora-modules"),
    }
    assert passed | left_out == set(OWN_KEYS)


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ('flags = { load-format = "dummy" }', "flags.load-format", "it is ipc_cache"),
        ("flags = { model-loader-extra-config = {} , nnodes = 2 }", "flags.nnodes", "one host"),
        ("flags = { data-parallel-size = 2 }", "flags.data-parallel-size", "several times"),
        ("flags = { enable-sleep-mode = true }", "flags.enable-sleep-mode", "not its own"),
        ("flags = { cpu-offload-gb = 4 }", "flags.cpu-offload-gb", "host's memory"),
        ('flags = { config = "/x.yaml" }', "flags.config", "not known here"),
        ('quantization = "awq"', "quantization", "'awq' cannot be handed"),
        ("flags = { speculative-config = { model = 'd' } }", "flags.speculative-config", "method"),
    ],
)
def test_problems_are_told_with_their_key(text: str, key: str, says: str) -> None:
    with pytest.raises(InvalidConfigError) as raised:
        engine(f"preload = true\n{text}")
    found = {each.key: each.message for each in raised.value.problems}
    assert says in found[f"engines.chat.{key}"]
    engine(text)  # without preload it is fine


@pytest.mark.parametrize("text", ["nnodes = 1", "data-parallel-size = 1", "cpu-offload-gb = 0"])
def test_problems_are_none_for_what_is_the_default(text: str) -> None:
    assert not list(preload.problems(engine(f"preload = true\nflags = {{ {text} }}")))


def test_folder_too_deep_for_the_sockets_is_told() -> None:
    text = '[engines.{}]\nmodel = "m"\npreload = true\n'
    config('[daemon]\nrun_dir = "/run/vllmd"\n' + text.format("a" * 26))
    with pytest.raises(InvalidConfigError, match="108 bytes"):
        config('[daemon]\nrun_dir = "/run/vllmd"\n' + text.format("a" * 27))


@pytest.mark.parametrize(
    ("flags", "ranks"),
    [
        ("{}", 1),
        ("{ tensor-parallel-size = 2, pipeline-parallel-size = 2 }", 4),
        (
            '{ tensor-parallel-size = 2, speculative-config = { method = "eagle3", model = "d" } }',
            4,
        ),
        ('{ speculative-config = { method = "deepseek_mtp" } }', 2),
        ('{ speculative-config = { method = "ngram" } }', 1),
        ("""{ speculative-config = '{"method": "mtp"}' }""", 2),
        ('{ "speculative-config.method" = "eagle", "speculative-config.model" = "d" }', 2),
    ],
)
def test_ranks_are_the_gpus_and_those_of_a_draft_that_is_kept(flags: str, ranks: int) -> None:
    assert preload.ranks(engine(f"preload = true\nflags = {flags}")) == ranks


def test_draft_model_is_one_that_is_kept() -> None:
    assert preload.draft_model(engine()) is None
    for method, model in (("eagle", "d"), ("ngram", None)):
        flags = f'{{ speculative-config = {{ method = "{method}", model = "d" }} }}'
        assert preload.draft_model(engine(f"flags = {flags}")) == model


def test_without_leaves_out_what_asks_for_weights_and_nothing_else() -> None:
    folder = Path("/run/w")
    argv = ("vllm", "serve", "m", "--load-format", "dummy")
    assert preload.without((*argv, *preload.engine_arguments(folder)), folder) == argv
    assert preload.without(argv, folder) == argv
    other = (*argv, *preload.engine_arguments(Path("/run/other")))
    assert preload.without(other, folder) == other
