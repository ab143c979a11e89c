import socket

import pytest

from tests.helpers.make import engine
from vllmd.config import command
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError

HTTP = "http://127.0.0.1:4318/v1/traces"
ENGINE = '[engines.chat]\nmodel = "m"\nexecutable = "sh"\n'


def built(text: str = "", inherited: dict[str, str] | None = None) -> command.Command:
    return command.build(engine(text), inherited or {}, traces=HTTP)


def refusal(text: str) -> str:
    with pytest.raises(InvalidConfigError) as caught:
        parse(text)
    return str(caught.value)


def test_engine_is_told_where_to_send_its_spans() -> None:
    made = built()
    argv = list(made.argv)
    assert argv[argv.index("--otlp-traces-endpoint") + 1] == HTTP
    assert {k: v for k, v in made.own_env.items() if k.startswith("OTEL")} == {
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "vllm-chat",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_RESOURCE_ATTRIBUTES": "vllmd.engine=chat",
    }


def test_engine_may_say_more_about_itself() -> None:
    made = built('env = { OTEL_RESOURCE_ATTRIBUTES = "site=a", OTEL_SERVICE_NAME = "llm" }')
    assert made.own_env["OTEL_RESOURCE_ATTRIBUTES"] == "site=a,vllmd.engine=chat"
    assert made.own_env["OTEL_SERVICE_NAME"] == "llm"


def test_what_the_daemon_inherited_for_its_own_spans_is_not_for_engines() -> None:
    inherited = {
        "TRACEPARENT": "00-a",
        "TRACESTATE": "x",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://elsewhere",
        "PATH": "/bin",
    }
    env = built(inherited=inherited).env
    assert not {"TRACEPARENT", "TRACESTATE", "OTEL_SDK_DISABLED"} & set(env)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in env
    assert env["PATH"] == "/bin"


@pytest.mark.parametrize(
    ("inherited", "expected"),
    [
        ({}, {"NO_PROXY": "127.0.0.1,localhost,::1"}),
        ({"NO_PROXY": "a.org"}, {"NO_PROXY": "a.org,127.0.0.1,localhost,::1"}),
        ({"no_proxy": "b.org"}, {"no_proxy": "b.org,127.0.0.1,localhost,::1"}),
    ],
)
def test_no_proxy_stands_between(inherited: dict[str, str], expected: dict[str, str]) -> None:
    env = built(inherited=inherited).env
    assert {k: v for k, v in env.items() if k.lower() == "no_proxy"} == expected
    assert "NO_PROXY" not in built(inherited=inherited).own_env, "or a login would change the hash"


@pytest.mark.parametrize(
    "text",
    [
        "traces = false",
        "flags = { disable-log-stats = true }",
        'flags = { otlp-traces-endpoint = "http://own:4318/v1/traces" }',
        'env = { VLLM_USE_RUST_FRONTEND = "1" }',
    ],
)
def test_engine_that_cannot_or_is_not_to_send_spans_does_not(text: str) -> None:
    made = built(text)
    assert HTTP not in made.argv
    assert "OTEL_RESOURCE_ATTRIBUTES" not in made.own_env


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("flags = { disable-log-stats = true }", "every request of an engine that sends spans"),
        ('env = { VLLM_USE_RUST_FRONTEND = "1" }', "does not start when it is to send spans"),
        ('flags = { otlp-traces-endpoint = "http://a/v1/traces" }', "of your own among the flags"),
    ],
)
def test_spans_that_would_break_the_engine_are_refused(text: str, problem: str) -> None:
    said = refusal(f"{ENGINE}traces = true\n{text}\n")
    assert "engines.chat.traces" in said
    assert problem in said
    assert "set traces = false" in said


def test_spans_that_go_elsewhere_are_warned_of() -> None:
    _, (problem,) = parse(ENGINE + 'flags = { otlp-traces-endpoint = "http://a:4318/v1/traces" }\n')
    assert problem.message == "spans go to http://a:4318/v1/traces, and none to vllmd"
    assert "traces.forward.endpoint" in problem.fix


def test_endpoint_is_where_this_host_reaches_the_receiver() -> None:
    for listen, endpoint in (
        ("127.0.0.1:4318", HTTP),
        ("0.0.0.0:5000", "http://127.0.0.1:5000/v1/traces"),
        ("[::1]:4318", "http://[::1]:4318/v1/traces"),
        ("", None),
    ):
        config, _ = parse(f'[traces]\nlisten_http = "{listen}"\n')
        assert config.traces.endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:4318",
        "http://127.0.0.1:4317",
        "http://127.1.2.3:4318/x",
        "http://[::1]:4318",
        f"http://{socket.gethostname().lower()}:4318",
    ],
)
def test_own_address_is_refused(endpoint: str) -> None:
    said = refusal(f'[traces.forward]\nendpoint = "{endpoint}"\n')
    assert f"{endpoint} is vllmd's own address" in said


def test_own_address_by_the_protocols_own_port_is_refused() -> None:
    said = refusal('[traces.forward]\nendpoint = "http://localhost"\nprotocol = "grpc"\n')
    assert "own address" in said


@pytest.mark.parametrize(
    "endpoint", ["http://tempo:4318", "https://localhost:4319", "http://10.0.0.1:4318"]
)
def test_other_addresses_are_fine(endpoint: str) -> None:
    parse(f'[traces.forward]\nendpoint = "{endpoint}"\n')


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('endpoint = "tempo:4318"', "an http or https URL"),
        ('endpoint = "http://u:p@tempo:4318"', "with no user in it"),
        ('protocol = "http/json"', '"http/protobuf", "grpc"'),
        ('headers = { "a b" = "c" }', "a table of headers"),
        ('headers = { Authorization = "Bearer s3cret\\n" }', "Authorization has other"),
        ('headers = "x"', "a table of headers"),
        ('headers_file = "relative"', "an absolute path"),
        ("queue_mb = 0", "from 1"),
    ],
)
def test_wrong_values_are_refused_without_showing_secrets(line: str, problem: str) -> None:
    said = refusal(f"[traces.forward]\n{line}\n")
    assert problem in said
    assert "s3cret" not in said


def test_listen_takes_an_address_or_nothing() -> None:
    assert 'or "" for none' in refusal('[traces]\nlisten_grpc = "nonsense"\n')
