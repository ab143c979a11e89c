import json

import pytest

from tests.helpers.make import engine
from vllmd.config import flags
from vllmd.config.rules import RuleError
from vllmd.util.redact import MASK


def test_arguments_first_class_keys_become_flags() -> None:
    built = flags.arguments(
        engine(
            'served_model_name = ["a", "b"]\nquantization = "fp8"\nport = 9000\n'
            "gpu_memory_utilization = 0.9\nmax_model_len = 4096\nmax_num_seqs = 8\n"
            "enable_prefix_caching = false\n"
        )
    )
    assert " ".join(built) == (
        "serve m --host 127.0.0.1 --port 9000 --served-model-name a b --quantization fp8 "
        "--gpu-memory-utilization 0.9 --max-model-len 4096 --max-num-seqs 8 "
        "--no-enable-prefix-caching --shutdown-timeout 30"
    )


def test_arguments_lora_modules_become_json_where_they_cannot_change_later() -> None:
    lora = 'lora = { dynamic = false, max_loras = 2, modules = { "a b" = "/x y" } }'
    built = flags.arguments(engine(lora))
    assert built[-6:-1] == ["--max-loras", "2", "--max-lora-rank", "16", "--lora-modules"]
    assert json.loads(built[-1]) == {"name": "a b", "path": "/x y"}


def test_adapters_that_can_change_are_no_part_of_the_command() -> None:
    given = engine('lora = { modules = { a = "/x" } }')
    assert "--lora-modules" not in flags.arguments(given)
    static = engine('lora = { dynamic = false, modules = { a = "/x" } }')
    assert "--lora-modules" in flags.arguments(static)


def test_arguments_other_flags_keep_their_kind() -> None:
    built = flags.arguments(
        engine(
            "[engines.chat.flags]\nenforce_eager = true\nenable-chunked-prefill = false\n"
            'middleware = ["a", "b"]\nseed = 30\ncompilation-config = { level = 3 }\n'
            '"compilation-config.a.b" = false\n"compilation-config.c" = ["d"]\n'
        )
    )
    assert built[8:] == [
        *("--enforce-eager", "--no-enable-chunked-prefill", "--middleware", "a"),
        *("--middleware", "b"),
        *("--seed", "30", "--compilation-config", '{"level": 3}'),
        *("--compilation-config.a.b", "false", "--compilation-config.c", '["d"]'),
    ]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"port": 1}, "a key of its own: port"),
        ({"shutdown-timeout": 9}, "a key of its own: drain_s"),
        ({"max_loras": 1}, "a key of its own: lora.max_loras"),
        ({"--api-key": "x"}, "VLLM_API_KEY"),
        ({"hf_token": "x"}, "credentials/hf_token, or set env.HF_TOKEN"),
        ({"ssl-keyfile-password": "x"}, "take the password off the key"),
        ({"bad name": 1}, "names of flags"),
        ({"disable-log-stats": True, "otlp-traces-endpoint": "x"}, "every request would fail"),
        ("no table", "a table of flags"),
    ],
)
def test_flag_table_refuses_what_would_do_harm(table: object, words: str) -> None:
    with pytest.raises(RuleError) as caught:
        flags.flag_table(table)
    assert words in caught.value.expects


@pytest.mark.parametrize(
    "words",
    [
        ["vllm", "--api-key", "x"],
        ["vllm", "--api_key=x"],
        ["env", "A=1", "vllm", "--hf-token", "x"],
        ["vllm", "--hf-token=x"],
        ["vllm", "--ssl-keyfile-password", "x"],
    ],
)
def test_program_refuses_what_would_do_harm_among_flags(words: list[str]) -> None:
    with pytest.raises(RuleError, match="every user of the host"):
        flags.program(words)
    assert flags.program("vllm") == ("vllm",)
    assert flags.program(["vllm", "--hf-token", "--x"]) == ("vllm", "--hf-token", "--x")


def test_masked_arguments_hides_secrets_in_flags_and_within_values() -> None:
    nested = '{"port": 1, "extra": {"apiKey": "abc", "url": "redis://:pa55@h"}}'
    words = "serve https://ann:pa55@host/m --hf-token abc --x y --api-key=abc --kv-transfer-config"
    more = "--hf_overrides=[1] --kv.extra.password abc --ssl-keyfile /etc/k.pem"
    shown = flags.masked_arguments([*words.split(), nested, *more.split()])
    assert shown == [
        *("serve", f"https://{MASK}@host/m", "--hf-token", MASK, "--x", "y", f"--api-key={MASK}"),
        "--kv-transfer-config",
        f'{{"port": 1, "extra": {{"apiKey": "{MASK}", "url": "redis://{MASK}@h"}}}}',
        *("--hf_overrides=[1]", "--kv.extra.password", MASK, "--ssl-keyfile", "/etc/k.pem"),
    ]
