import json
import time

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.helpers.make import DATA
from vllmd.util.redact import MASK, Redactor, is_secret, masked, secrets_in_value, without_shapes


@pytest.mark.parametrize(
    "text",
    [
        "token hf_abcdefghijklmnopqrstuv at the end",
        "key sk-proj-abcdefghijklmnop",
        "Authorization: Bearer abc.def-123456",
        "fetching https://ann:pa55word@example.org/x",
        "https://hooks.slack.com/services/T000/B000/XXXX",
        "ghp_abcdefghijklmnopqrst",
        "github_pat_abcdefghijklmnop",
        "AKIAABCDEFGH12345678",
        "eyJabcdefgh12.eyJabcdefgh123456.abcdefgh",
        "-----BEGIN RSA PRIVATE KEY-----\nabcdefgh\n123456\n-----END RSA PRIVATE KEY-----",
        "redis://:pa55word@h:6379/0 and postgres://u:p@abcdefgh@h/db",
        "GET /v1?model=m&api_key=abcdefgh&x=1",
        "GET /blob?sig=abcdefgh123456",
        "{'secret_key': 'abcdefgh', 'password': \"abcdefgh\"}",
        "DB_PASSWORD=abcdefgh",
        "Authorization: Basic YWJjZGVmZ2g6MTIzNDU2",
        "planted-secret-1 and planted-secret-12",
    ],
)
def test_text_masks_known_secrets_and_what_looks_like_one(text: str) -> None:
    redactor = Redactor(["planted-secret-1", "planted-secret-12", "", "a"])
    masked = redactor.text(text)
    assert MASK in masked
    for part in ("abcdefgh", "123456", "pa55word", "XXXX", "planted", MASK + "2"):
        assert part not in masked
    assert redactor.text("a task-force of many") == "a task-force of many"


def test_value_masks_however_deep_and_keeps_the_rest() -> None:
    redactor = Redactor(["s3cr3t-value"])
    value = {"a": ["x s3cr3t-value", ("s3cr3t-value", 1)], "s3cr3t-value": {"b": None}, "c": 1.5}
    masked = {"a": [f"x {MASK}", [MASK, 1]], MASK: {"b": None}, "c": 1.5}
    assert redactor(None, "info", value) == masked
    redactor.learn([])
    assert redactor.value("s3cr3t-value") == "s3cr3t-value"


@pytest.mark.parametrize(
    "text",
    [
        "max_num_batched_tokens=8192, tokens: 123456, key: value of the cache",
        "set VLLM_API_KEY: arguments can be read by everybody",
        "'hf_token': None, 'api_key': None, --ssl-keyfile=/etc/ssl/private/key.pem",
        "http://127.0.0.1:8000/v1/models answered 200",
        "user@example.org wrote to //server/share@2",
        "basic authentication, bearer of news",
    ],
)
def test_without_shapes_keeps_what_is_no_secret(text: str) -> None:
    assert without_shapes(text) == text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("HF_TOKEN", True),
        ("VLLM_API_KEY", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("DB_PASSWORD", True),
        ("PGPASSWORD", True),
        ("MYSQL_PWD", True),
        ("PWD", False),
        ("image_token_index", False),
        ("speculative_token_tree", False),
        ("REDISCLI_AUTH", True),
        ("SENTRY_DSN", True),
        ("OPENAI_APIKEY", True),
        ("secretKey", True),
        ("accessToken", True),
        ("token", True),
        ("--hf-token", True),
        ("--kv-transfer-config.extra.api_key", True),
        ("SECRET_OF_PROD", True),
        ("ssl-keyfile-password", True),
        ("HF_HOME", False),
        ("HF_TOKEN_PATH", False),
        ("AWS_ACCESS_KEY_ID", False),
        ("max-num-batched-tokens", False),
        ("long-prefill-token-threshold-adaptive", False),
        ("return-tokens-as-token-ids", False),
        ("tokenizer", False),
        ("eos_token", False),
        ("ssl-keyfile", False),
        ("MONKEY", False),
        ("", False),
    ],
)
def test_is_secret_goes_by_the_name(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


def test_is_secret_of_vllms_flags_is_so_of_those_that_hold_one() -> None:
    recorded = json.loads((DATA / "flags" / "vllm-0.32-cpu.json").read_text())["flags"]
    holding = {f["names"][0] for f in recorded if f["takes"] != "nothing"}
    assert {name for name in holding if is_secret(name)} == {"--api-key", "--hf-token"}


def test_masked_goes_into_tables_lists_and_json() -> None:
    value = {"a": [{"token": "abc", "n": 1}], "u": "amqp://u:p@h", "j": '{"password": ["x"]}'}
    assert masked("flags", value) == {
        "a": [{"token": MASK, "n": 1}],
        "u": f"amqp://{MASK}@h",
        "j": f'{{"password": "{MASK}"}}',
    }
    assert masked("HF_TOKEN", 5) == MASK
    assert masked("PORT", 5) == 5
    assert masked("TEMPLATE", "{not json") == "{not json"


def test_secrets_in_value_are_found_however_deep_and_whole() -> None:
    def found(name: str, value: object) -> set[str]:
        return set(secrets_in_value(name, value))

    assert found("DATABASE_URL", "postgres://u:p%40ss@h/db") == {"u:p%40ss", "p%40ss", "p@ss"}
    assert found("x", {"auth": {"user": "one", "more": ["two"]}, "n": 1}) == {"one", "two"}
    assert found("KV", '{"api_key": "three"}') == {"three"}
    assert found("KEY", "-----BEGIN\nline\n") == {"-----BEGIN\nline\n", "-----BEGIN", "line"}
    assert found("URL", "https://h/x?sig=abcdef123&v=1") == {"abcdef123"}
    assert found("PATH", "/usr/bin:/bin") == set()


@given(st.text("abc:/@?&=-.eyJsk_ \n\"'", max_size=60))
def test_text_is_masked_once(text: str) -> None:
    redactor = Redactor(["abcabc"])
    once = redactor.text(text)
    assert redactor.text(once) == once
    assert "abcabc" not in once


@pytest.mark.parametrize(
    "hostile",
    [
        "://",
        "a-",
        "eyJ.",
        "eyJ-",
        "eyJaaaaaaaa.b-",
        "-----BEGIN ",
        "sk-",
        "api_key=",
        "authorization: ",
        "?token=",
    ],
)
def test_text_takes_time_in_proportion(hostile: str) -> None:
    def cpu_s(count: int) -> float:
        begin = time.process_time()
        without_shapes(hostile * count)
        return time.process_time() - begin

    cpu_s(100)
    assert cpu_s(40_000) < 40 * max(cpu_s(4_000), 0.002)
