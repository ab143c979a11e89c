import os
from pathlib import Path

import pytest

from tests.helpers.make import config
from vllmd.config.secret_values import secrets_in, secrets_of, webhook_url
from vllmd.config.sections import NotifyConfig
from vllmd.errors import ConfigError


def test_secrets_are_found_by_the_names_of_variables_and_flags() -> None:
    given = config(
        '[engines.chat]\nmodel = "m"\nenv = { HF_TOKEN = "one", HF_HOME = "/srv" }\n'
        'flags = { new-hub-token = "two", seed = 5, kv-transfer-config = '
        '{ api_key = ["three"], port = 1 } }\n'
    )
    assert list(secrets_of(given, {"AWS_SECRET_KEY": "four", "PATH": "/bin"})) == [
        "four",
        "",
        "one",
        "two",
        "three",
    ]


def test_secrets_are_found_in_every_text_of_the_configuration() -> None:
    given = config(
        '[engines.chat]\nmodel = "s3://u:one-one@bucket/m"\n'
        'executable = ["env", "x=https://two-two@h", "vllm"]\n'
        'served_model_name = "https://u:three-3@h/m"\n'
        '[engines.chat.lora]\nmodules = { sql = "https://u:four-four@h/a" }\n'
    )
    found = set(secrets_of(given, {}))
    assert {"one-one", "two-two", "three-3", "four-four"} <= found | {
        each.rpartition(":")[2] for each in found
    }


def test_webhook_url_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    given = config(f'[notify]\nwebhook_url_file = "{path}"\n')
    with pytest.raises(ConfigError, match="webhook_url_file"):
        webhook_url(given.notify)
    assert "https" not in str(list(secrets_of(given, {})))
    path.write_text("https://hooks.example.org/x\n")
    assert webhook_url(given.notify) == "https://hooks.example.org/x"
    assert "https://hooks.example.org/x" in list(secrets_of(given, {}))
    assert webhook_url(config("").notify) is None


def test_secrets_in_a_broken_file_are_found_by_name() -> None:
    text = """
    [engines.chat
    env = { HF_TOKEN = "one-one", HF_HOME = "/srv" }
    "api_key" = 'two-two'
    webhook_url = "https://hooks.example.org/x"
    password = three-three
    max_model_len = 5
    """
    assert list(secrets_in(text)) == [
        "one-one",
        "two-two",
        "https://hooks.example.org/x",
        "three-three",
    ]


def test_webhook_url_file_that_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w")
    with pytest.raises(ConfigError, match=r"webhook_url_file: .*it is a FIFO"):
        webhook_url(NotifyConfig(webhook_url_file=str(tmp_path / "w")))
