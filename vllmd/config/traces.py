"""The table of the configuration that is about traces."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import attrs

from vllmd.config import rules
from vllmd.config.rules import key, section
from vllmd.config.urls import is_here, url_of
from vllmd.util.units import HOUR_S

_EMPTY: Mapping[str, str] = MappingProxyType({})
PATH = "/v1/traces"
GRPC_PORT = 4317
"""Where OTLP over gRPC is, with or without TLS, if an endpoint names no port."""
ENGINE_ATTRIBUTE = "vllmd.engine"
"""The resource attribute by which vllmd tells its engines' spans apart."""
_HTTP_PORTS = {"http": 80, "https": 443}


def _headers(value: Any) -> Mapping[str, str]:
    expects = 'a table of headers, such as { Authorization = "Bearer TOKEN" }'
    if not isinstance(value, dict):
        raise rules.RuleError(expects)
    for name, text in value.items():
        rules.matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", expects)(name)
        rules.matching(r"[\x20-\x7e]*", f"printable ASCII in each header; {name} has other")(text)
    return MappingProxyType(dict(value))


@attrs.frozen
class ForwardConfig:
    """Where spans are passed on to: a collector, Tempo, Jaeger."""

    endpoint: str | None = key(
        rules.matching(r"https?://[^\s/@]+(/\S*)?", "an http or https URL, with no user in it"),
        None,
        help="Address that takes OTLP. Over HTTP, /v1/traces is added to one without a path.",
        example='"http://tempo.example.org:4318"',
    )
    protocol: str = key(
        rules.either('one of "http/protobuf", "grpc"', rules.matching(r"http/protobuf|grpc", "")),
        "http/protobuf",
        help='Protocol: "http/protobuf" or "grpc".',
    )
    headers: Mapping[str, str] = key(
        _headers,
        _EMPTY,
        help="Headers of each request. Their values are masked wherever they are shown.",
        example='{ Authorization = "Bearer TOKEN" }',
    )
    headers_file: str | None = key(
        rules.absolute_path,
        None,
        help="A file with more of them, a line each, as 'Name: value'.",
        example='"/etc/vllmd/credentials/otlp-headers"',
    )
    ca_file: str | None = key(
        rules.absolute_path,
        None,
        help="Certificates to trust, in PEM; those of the system by default.",
        example='"/etc/ssl/own-ca.pem"',
    )
    client_certificate_file: str | None = key(
        rules.absolute_path,
        None,
        help="Certificate to show, in PEM, with its key or with client_key_file.",
        example='"/etc/vllmd/otlp.pem"',
    )
    client_key_file: str | None = key(
        rules.absolute_path,
        None,
        help="The key of that certificate, in PEM.",
        example='"/etc/vllmd/credentials/otlp.key"',
    )
    timeout_s: float = key(
        rules.number(0, HOUR_S, above=True),
        10.0,
        help="Timeout of one attempt, in seconds.",
        reason="What OpenTelemetry's own exporters take.",
    )
    queue_mb: int = key(
        rules.integer(1, 4096),
        64,
        help="What may wait in memory while the receiver is down, in megabytes (MiB); beyond it "
        "the oldest spans are dropped, and counted.",
        reason="Some 100,000 requests: ten minutes of a busy host.",
    )


@attrs.frozen
class TracesConfig:
    """Spans of requests: received from the engines, turned into metrics, passed on."""

    listen_http: tuple[str, int] | None = key(
        rules.address_or_none,
        ("127.0.0.1", 4318),
        help='Address and port of OTLP over HTTP, which the engines use; "" for none.',
        example='"127.0.0.1:4318"',
    )
    listen_grpc: tuple[str, int] | None = key(
        rules.address_or_none,
        ("127.0.0.1", 4317),
        help='Address and port of OTLP over gRPC; "" for none.',
        example='"127.0.0.1:4317"',
    )
    window_s: float = key(
        rules.number(1, HOUR_S),
        60.0,
        help="Window for which the slowest requests are kept and logged, in seconds.",
        reason="What 'vllmd traces' shows is of now, and the log has a few lines a minute.",
    )
    slowest: int = key(
        rules.integer(0, 100),
        5,
        help="Number of them per window, by time to first token, by time per token, by wait in the "
        "queue and in all; 0 for none.",
        reason="Enough to see a pattern, and twenty lines of log in a bad minute.",
    )
    forward: ForwardConfig = section(ForwardConfig, help="Where spans are passed on to.")

    @property
    def endpoint(self) -> str | None:
        """Where an engine of this host sends its spans; None if they are not received."""
        if self.listen_http is None:
            return None
        return url_of(*self.listen_http) + PATH

    @property
    def sends_to_itself(self) -> bool:
        """Whether what is received would be passed on to where it is received."""
        if self.forward.endpoint is None:
            return False
        parts = urlsplit(self.forward.endpoint)
        default = GRPC_PORT if self.forward.protocol == "grpc" else _HTTP_PORTS[parts.scheme]
        port = parts.port or default
        own = {a[1] for a in (self.listen_http, self.listen_grpc) if a is not None}
        return port in own and is_here(parts.hostname or "")
