import pytest

from tests.helpers.web import HASH, MUTUAL, TLS, USERS
from vllmd.config.problem import InvalidConfigError
from vllmd.http.web_config import CIPHERS, RateLimit, TlsServer, WebConfig, hash_problem, parse

SECRET = "$2y$10$tooShortToBeAHash"


def problems_of(text: str) -> list[str]:
    """Return what is said of a text, warnings or mistakes, as `line key message; fix`."""
    try:
        _, problems = parse(text)
    except InvalidConfigError as error:
        problems = error.problems
    return [f"{p.line} {p.severity[0]} {p.key} {p.message}; {p.fix}" for p in problems]


@pytest.mark.parametrize("text", ["", "# none\n", "---\n", "tls_server_config:\n", "{}"])
def test_parse_empty_file_asks_for_nothing(text: str) -> None:
    assert parse(text) == (WebConfig(), [])


def test_parse_reads_everything() -> None:
    config, warnings = parse(
        f"""{MUTUAL}
  client_allowed_sans: [prometheus.example, "2001:db8::1"]
  min_version: TLS12
  max_version: TLS13
  cipher_suites:
  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
  - TLS_AES_128_GCM_SHA256
  prefer_server_cipher_suites: no
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    X-XSS-Protection: 1
    Content-Security-Policy: ""
rate_limit:
  interval: 100ms
  burst: 20
{USERS}"""
    )
    assert warnings == []
    assert config == WebConfig(
        tls=TlsServer(
            cert_file="server.pem",
            key_file="server.key",
            client_ca_file="authority.pem",
            client_auth_type="RequireAndVerifyClientCert",
            client_allowed_sans=("prometheus.example", "2001:db8::1"),
            cipher_suites=("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
            prefer_server_cipher_suites=False,
            curve="X25519",
        ),
        headers={"X-Frame-Options": "deny", "X-XSS-Protection": "1"},
        users={"prometheus": HASH},
        rate_limit=RateLimit(0.1, 20),
    )
    assert config.tls
    assert config.tls.files == ("server.pem", "server.key", "authority.pem")


def test_parse_tls_without_more_has_the_defaults_of_the_toolkit() -> None:
    config, _ = parse(TLS)
    assert config.tls == TlsServer("server.pem", "server.key")
    assert (config.tls.min_version, config.tls.max_version) == ("TLS12", "TLS13")
    assert config.tls.prefer_server_cipher_suites


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "tls_server_config:\n  cert_filse: a",
            '2 e tls_server_config.cert_filse is not a known key; did you mean "cert_file"?',
        ),
        (
            "tls_server_config:\n  cert_file: a",
            "2 e tls_server_config has neither key_file nor key; name the file: key_file: …",
        ),
        (
            f"{TLS}  cert: inline",
            "2 e tls_server_config.cert_file is given beside cert; keep one of the two",
        ),
        (
            f"{TLS}  client_auth_type: RequestClientCert",
            "4 e tls_server_config.client_auth_type RequestClientCert asks for a certificate that "
            "nothing verifies; vllmd cannot do that; write RequireAndVerifyClientCert, with "
            "client_ca_file",
        ),
        (
            f"{TLS}  client_auth_type: Require",
            "4 e tls_server_config.client_auth_type got 'Require'; it takes NoClientCert, "
            "VerifyClientCertIfGiven, RequireAndVerifyClientCert",
        ),
        (
            f"{TLS}  client_auth_type: RequireAndVerifyClientCert",
            "4 w tls_server_config.client_auth_type without client_ca_file lets in whoever has a "
            "certificate of any of the system's authorities; name your own authority: "
            "client_ca_file: …",
        ),
        (
            f"{TLS}  client_ca_file: ca",
            "4 e tls_server_config.client_ca_file is used by nothing without it; add "
            "client_auth_type: RequireAndVerifyClientCert",
        ),
        (
            f"{TLS}  client_allowed_sans: [a]",
            "4 e tls_server_config.client_allowed_sans holds nobody back while client_auth_type is "
            "NoClientCert; make that RequireAndVerifyClientCert",
        ),
        (
            f"{TLS}  min_version: TLS10",
            "4 e tls_server_config.min_version TLS10 is not to be had: TLS 1.2 and 1.3 are what "
            "Debian's OpenSSL speaks; write TLS12, or TLS13",
        ),
        (
            f"{TLS}  min_version: TLS111",
            "4 e tls_server_config.min_version got 'TLS111'; it takes TLS12, TLS13",
        ),
        (
            f"{TLS}  min_version: TLS13\n  max_version: TLS12",
            "4 e tls_server_config.min_version is TLS13, above max_version, which is TLS12; "
            "lower it",
        ),
        (
            f"{TLS}  curve_preferences: [X25519, CurveP256]",
            "4 e tls_server_config.curve_preferences names 2 curves, and vllmd can be held to one; "
            "name one, or none: then OpenSSL chooses",
        ),
        (
            f"{TLS}  curve_preferences: [CurveP257]",
            "4 e tls_server_config.curve_preferences got 'CurveP257'; it takes CurveP256, "
            "CurveP384, CurveP521, X25519",
        ),
        (
            f"{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048]",
            "4 e tls_server_config.cipher_suites got 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048'; "
            'did you mean "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"?',
        ),
        (
            "tls_server_config:\n  min_version: TLS13",
            "2 w tls_server_config.min_version does nothing: there is no cert_file; add cert_file",
        ),
        (
            "http_server_config:\n  http2: true",
            "2 w http_server_config.http2 this exporter speaks HTTP/1.1, which Prometheus takes as "
            "well; write false, or leave it out",
        ),
        (
            "http_server_config: {headers: {Content-Type: foo}}",
            "1 e http_server_config.headers.Content-Type is not a known key; did you mean "
            '"X-Content-Type-Options"?',
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}",
            "1 e http_server_config.headers.X-Frame-Options got 'allow'; it takes deny, sameorigin",
        ),
        (
            'http_server_config: {headers: {X-XSS-Protection: "1\\r\\nX: y"}}',
            "1 e http_server_config.headers.X-XSS-Protection got '1\\r\\nX: y', which no header "
            "may hold; write it in printable ASCII",
        ),
        (
            "rate_limit: {interval: 5, burst: 1}",
            "1 e rate_limit.interval is not a duration; write one with its unit, such as 100ms or "
            "1s",
        ),
        (
            "rate_limit: {interval: 1s}",
            "1 e rate_limit.burst without a burst of 1 or more no request is let through; write "
            "burst: 10",
        ),
        (
            f"basic_auth_users: {{ann: {SECRET}}}",
            "1 e basic_auth_users.ann is a bcrypt hash of 24 characters; whole ones have 60; make "
            "one: htpasswd -nBC 10 \"\" | tr -d ':\\n'",
        ),
        (
            f'basic_auth_users: {{"a:b": {HASH}}}',
            "1 e basic_auth_users.a:b has a colon in the name; take the colon out: a client cannot "
            "send it",
        ),
        (
            f"basic_auth_users: {{ann: {HASH.replace('$04$', '$14$')}}}",
            "1 w basic_auth_users.ann has a hash of cost 14: a first login takes seconds; make one "
            "of cost 10",
        ),
        ("rate_limits: {}", '1 e rate_limits is not a known key; did you mean "rate_limit"?'),
        ("- a", "1 e  is not a table of keys; write one 'key: value' a line"),
    ],
)
def test_parse_says_what_is_wrong_where_and_what_to_do(text: str, said: str) -> None:
    assert problems_of(text) == [said]


def test_parse_finds_all_mistakes_in_the_order_of_the_file() -> None:
    text = f"{TLS}  min_version: 1\n  client_auth: x\nbasic_auth_users:\n  ann: doe\n"
    assert [each.split()[0] for each in problems_of(text)] == ["4", "5", "7"]


def test_parse_no_secret_is_in_what_is_said_or_shown() -> None:
    key = "-----BEGIN PRIVATE KEY-----"
    for text in (f"{TLS}  key: {key}", f"basic_auth_users: {{ann: {SECRET}}}"):
        with pytest.raises(InvalidConfigError) as caught:
            parse(text, "/etc/vllmd/web.yml")
        assert key not in str(caught.value)
        assert SECRET not in str(caught.value)
    config, _ = parse(f"tls_server_config: {{cert: a, key: {key}}}\n{USERS}")
    assert key not in repr(config)
    assert HASH not in repr(config)


def test_parse_rate_limit_of_no_interval_is_none() -> None:
    assert parse("rate_limit: {interval: 0, burst: 0}")[0].rate_limit is None


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("doe", "begins with"),
        ("", "begins with"),
        ("$2x$10$" + "a" * 53, "begins with"),
        ("$1$abc", "begins with"),
        ("$2b$03$" + "a" * 53, "cost from 04 to 31"),
        ("$2b$x$" + "a" * 53, "cost from 04 to 31"),
        ("$2b$19$" + "a" * 53, "cost 19"),
        ("$2b$10$" + "a" * 54, "61 characters"),
        ("$2b$10$" + "!" * 53, "60 characters"),
    ],
)
def test_hash_that_bcrypt_cannot_use_is_named(value: str, part: str) -> None:
    assert part in hash_problem(value)


def test_hash_of_each_kind_is_taken() -> None:
    for kind in ("2a", "2b", "2y"):
        assert hash_problem(HASH.replace("2b", kind, 1)) == ""


def test_suites_are_those_of_the_toolkit() -> None:
    assert len(CIPHERS) == 13
    assert sum(not name for name in CIPHERS.values()) == 3
