import json
import time

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.helpers.make import DATA
from vllmd.util.redact import (
    MASK,
    REMEMBERED,
    REMEMBERED_CHARS,
    Redactor,
    is_secret,
    masked,
    secrets_in_value,
    without_shapes,
)


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
        "vllm serve m --hf-token abcdefgh-123456 --port 8000",
        "vllm serve m --api-key abcdefgh",
        "vllm serve m --api-key 'abcdefgh-x' --seed 1",
        "vllm serve m --token abcdefgh123456",
        "non-default args: {'model': 'm', 'api_key': ['abcdefgh', '123456']}",
        "non-default args: api_key=['abcdefgh']",
        "token: abcdefgh123456",
        "X-Api-Key: abcdefgh-123456",
        "HF_TOKEN: abcdefgh-123456",
        "OPENAI_API_KEY: abcdefgh123456",
        "password: abcdefgh-123456",
        "GITHUB_TOKEN=abcdefgh123456",
        "xoxb-abcdefgh123456abcdefgh and glpat-abcdefgh123456abcd",
        "nvapi-abcdefgh123456-abcd_EFGH",
        "gsk_abcdefgh123456abcd and npm_abcdefgh123456abcd",
        "ya29.abcdefgh123456-abcd",
        "['vllm', 'serve', 'm', '--api-key', 'abcdefgh123456', '--port', '8000']",
        'args: ["--s3-secret", "abcdefgh"]',
        "postgres://u:abcdefgh/123456@host/db",
        "Cookie: session=abcdefgh; other=123456",
        "{'Set-Cookie': 'session=abcdefgh; Path=/123456', 'x': 1}",
    ],
)
def test_text_masks_known_secrets_and_what_looks_like_one(text: str) -> None:
    redactor = Redactor(["planted-secret-1", "planted-secret-12", "", "a"])
    masked = redactor.text(text)
    assert MASK in masked
    for part in ("abcdefgh", "123456", "pa55word", "XXXX", "planted", MASK + "2"):
        assert part not in masked
    assert redactor.text("a task-force of many") == "a task-force of many"


def test_value_learns_a_secret_in_a_text_that_was_shown_before() -> None:
    redactor = Redactor()
    long = "x " * 300 + "s3cr3t-value"
    assert redactor.value(["s3cr3t-value", long]) == ["s3cr3t-value", long]
    redactor.learn(["s3cr3t-value"])
    assert redactor.value(["s3cr3t-value", long]) == [MASK, "x " * 300 + MASK]
    redactor.learn([])
    assert redactor.value("s3cr3t-value") == "s3cr3t-value"


def test_value_looks_at_a_text_once_and_remembers_a_bounded_number() -> None:
    redactor = Redactor()
    document = [{"state": f"engine {n % 7}"} for n in range(1000)]
    redactor.value(document)
    assert redactor._remembered.cache_info().misses == 8
    redactor.value([f"{n}" for n in range(2 * REMEMBERED)])
    redactor.value("x" * (REMEMBERED_CHARS + 1))
    assert redactor._remembered.cache_info().currsize == REMEMBERED
    assert redactor._remembered.cache_info().misses == 8 + 2 * REMEMBERED


def test_value_masks_however_deep_and_keeps_the_rest() -> None:
    redactor = Redactor(["s3cr3t-value"])
    value = {"a": ["x s3cr3t-value", ("s3cr3t-value", 1)], "s3cr3t-value": {"b": None}, "c": 1.5}
    masked = {"a": [f"x {MASK}", [MASK, 1]], MASK: {"b": None}, "c": 1.5}
    assert redactor(None, "info", value) == masked
    redactor.learn([])
    assert redactor.value("s3cr3t-value") == "s3cr3t-value"


def test_labels_are_masked_and_no_number_is() -> None:
    redactor = Redactor(["planted-1", 'q"uo\\te\nd', "123456"])
    page = (
        b"# HELP a Of planted-1.\n"
        b'a{m="s3://u:planted-1@b/m",n="x q\\"uo\\\\te\\nd y",o="redis://:pw@h/0"} 123456\n'
        b'b_bucket{le="123456.0",m="123456"} 1234567\n'
    )
    mask = MASK.encode()
    assert redactor.labels(page) == (
        b"# HELP a Of planted-1.\n"
        b'a{m="s3://%s@b/m",n="x %s y",o="redis://%s@h/0"} 123456\n'
        b'b_bucket{le="123456.0",m="%s"} 1234567\n' % (mask, mask, mask, mask)
    )
    plain = b'a{b="c"} 1\n'
    assert redactor.labels(plain) is plain


@pytest.mark.parametrize(
    "text",
    [
        "max_num_batched_tokens=8192, tokens: 123456, key: value of the cache",
        "set VLLM_API_KEY: arguments can be read by everybody",
        "'hf_token': None, 'api_key': None, --ssl-keyfile=/etc/ssl/private/key.pem",
        "http://127.0.0.1:8000/v1/models answered 200",
        "user@example.org wrote to //server/share@2",
        "basic authentication, bearer of news",
        "max_tokens: 512, token: 128 counts, 1234.5 tokens/s",
        "eos_token: abc123def456ghi, pad token: xyz12345678, next token: 1234567890",
        "give --api-key instead of a variable, or --hf-token which reads the login",
        "password: everybody knows it, secret: nothing of it",
        "stop_token_ids=[151643, 151645], api_key=[]",
        "time per output token: 12.5ms, token=True",
        "['--api-key', '--hf-token', '--seed', '123456'], ['api_key', 'hf_token']",
        "http://127.0.0.1:8000/users/a@b, http://[::1]:8000/a@b, https://hf.co/Qwen/Qwen3@main",
        "cookie: what a browser sends, npm_config_registry, gsk_, ya29.",
    ],
)
def test_without_shapes_keeps_what_is_no_secret(text: str) -> None:
    assert without_shapes(text) == text


SECRET_NAMES = """
HF_TOKEN HF_TOKEN_2 HUGGING_FACE_HUB_TOKEN VLLM_API_KEY OPENAI_API_KEY OPENAI_API_KEY_1 OPENAI_KEY2
OPENAI_APIKEY ANTHROPIC_API_KEY NGC_API_KEY WANDB_API_KEY COHERE_API_KEYS AZURE_OPENAI_KEY
AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AZURE_CLIENT_SECRET AZURE_STORAGE_KEY AZURE_STORAGE_SAS
AZURE_STORAGE_CONNECTION_STRING GITHUB_TOKEN GITHUB_PAT GITLAB_TOKEN GH_TOKEN DOCKER_AUTH_CONFIG
MY_TOKENS DB_PASSWORD DB_PASS DBPASS PGPASSWORD MYSQL_PWD MYSQL_ROOT_PASSWORD MYSQLPWD SSHPASS
REDISCLI_AUTH REDIS_PASSWORDS MONGO_CONNSTR SENTRY_DSN SECRET_ID VAULT_SECRET_ID VAULT_TOKEN
SECRET_KEY SECRET_KEY_BASE SECRET_OF_PROD DJANGO_SECRETKEY JWT_SECRET JWT SESSION_COOKIE
OTEL_EXPORTER_OTLP_HEADERS OTEL_EXPORTER_OTLP_TRACES_HEADERS HTTP_HEADERS SLACK_WEBHOOK_URL
DISCORD_WEBHOOK GCP_CREDENTIALS AWS_CREDS TLS_PRIVATE_KEY ENCRYPTION_KEY SSH_PRIVATEKEY
SMTP_PASSWD PROXY_PASSPHRASE BEARER PIP_INDEX_PASSWORD X-Api-Key
secretKey accessToken token api_keys --hf-token ssl-keyfile-password
--kv-transfer-config.extra.api_key connectionString
SLACK_HOOK PRIVATE_KEY_PEM TLS_KEY_B64 ENCRYPTION_KEY_HEX SIGNING_KEY_BASE64 TOKEN_B64_2
"""
HARMLESS_NAMES = """
PATH PWD OLDPWD HOME KUBECONFIG TOKENIZERS_PARALLELISM MAX_TOKENS MAX_NEW_TOKENS TOKENS_PER_S
max-num-batched-tokens max_completion_tokens num_speculative_tokens skip_special_tokens
long-prefill-token-threshold-adaptive return-tokens-as-token-ids image_token_index
speculative_token_tree eos_token bos_token_id pad_token tokenizer TOKENIZER_MODE
HF_HOME HF_TOKEN_PATH HF_ENDPOINT AWS_ACCESS_KEY_ID AWS_REGION AWS_SHARED_CREDENTIALS_FILE
GOOGLE_APPLICATION_CREDENTIALS CREDENTIALS_DIRECTORY SSH_AUTH_SOCK GIT_ASKPASS SSH_ASKPASS
XAUTHORITY PGPASSFILE MONKEY KEYRING ssl-keyfile API_KEY_HEADER AUTH_URL TOKEN_TTL SECRET_NAME
allowed-headers enable-request-id-headers PUBLIC_KEY primary_key COMPASS BYPASS VLLM_USE_V1
CUDA_VISIBLE_DEVICES NCCL_DEBUG OMP_NUM_THREADS TLS_CERT_PEM PUBLIC_KEY_PEM COLOR_HEX HEX B64
PRE_COMMIT_HOOK
"""


def test_is_secret_goes_by_the_name() -> None:
    secret, harmless = SECRET_NAMES.split(), HARMLESS_NAMES.split()
    assert len(secret) + len(harmless) > 100
    assert [name for name in secret if not is_secret(name)] == []
    assert [name for name in (*harmless, "") if is_secret(name)] == []


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
        "://a:/",
        "--key",
        "cookie: a",
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
    assert cpu_s(10_000) < 40 * max(cpu_s(1_000), 0.001)
