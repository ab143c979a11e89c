"""The file that TLS and passwords of all Prometheus exporters are configured by, read and checked.

What the exporter-toolkit accepts is accepted and does the same here, or is refused with the reason:
nothing in it is left out silently.
Source: prometheus/exporter-toolkit, docs/web-configuration.md and web/tls_config.go.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.config.problem import ConfigProblem, InvalidConfigError, ProblemSeverity
from vllmd.http import yaml_tree as tree
from vllmd.http.yaml_tree import Node, YamlTree

VERSIONS = ("TLS12", "TLS13")
OLD_VERSIONS = ("TLS10", "TLS11")
VERIFY = "RequireAndVerifyClientCert"
CLIENT_AUTH_TYPES = ("NoClientCert", "VerifyClientCertIfGiven", VERIFY)
UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
"""Python's ssl cannot take a certificate without verifying it."""

CURVES = ("CurveP256", "CurveP384", "CurveP521", "X25519")
CIPHERS: Mapping[str, str] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}
"""Go's name of each suite that the toolkit takes, and OpenSSL's; those of TLS 1.3 are always on."""

HEADERS: Mapping[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
"""The headers that may be set, and the values that each takes, where they are named."""

HIGHEST_COST = 18
"""Of a bcrypt hash; each more takes twice as long, and 18 takes tens of seconds."""
SLOW_COST = 12
"""From here on a check takes half a second or more, so that it is worth a warning above it."""

_SALT_AND_DIGEST = 53
_FILES = ("cert_file", "key_file", "client_ca_file")


@attrs.frozen
class TlsServer:
    """How the server speaks TLS; files are as written, empty where there is none."""

    cert_file: str = ""
    key_file: str = ""
    client_ca_file: str = ""
    cert: str = ""
    key: str = attrs.field(default="", repr=False)
    client_ca: str = ""
    client_auth_type: str = CLIENT_AUTH_TYPES[0]
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = VERSIONS[0]
    max_version: str = VERSIONS[1]
    cipher_suites: tuple[str, ...] = ()
    """Go's names; empty for OpenSSL's choice."""
    curve: str = ""
    prefer_server_cipher_suites: bool = True

    @property
    def files(self) -> tuple[str, ...]:
        """The files that this names."""
        return tuple(filter(None, (getattr(self, name) for name in _FILES)))


@attrs.frozen
class RateLimit:
    """Requests at once; one more is allowed each interval."""

    interval_s: float
    burst: int


@attrs.frozen
class WebConfig:
    """One file, understood; an empty one asks for nothing."""

    tls: TlsServer | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    users: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The bcrypt hash of each user's password; without any, no password is needed."""
    rate_limit: RateLimit | None = None


def parse(text: str, path: str | None = None) -> tuple[WebConfig, list[ConfigProblem]]:
    """Read the file's text; `path` is only for what is said about it.

    Returns: what it asks for, and the warnings about it.
    Raises: InvalidConfigError: with all mistakes; no secret is in what it says.
    """
    problems: list[ConfigProblem] = []
    try:
        root = tree.parse(text)
    except tree.YamlError as error:
        problem = ConfigProblem(f"is not YAML: {error}", "fix it", line=error.line)
        raise InvalidConfigError(path, [problem]) from None
    made = _WebConfigReader(YamlTree(problems)).read(root)
    if any(each.severity is ProblemSeverity.ERROR for each in problems):
        raise InvalidConfigError(path, sorted(problems, key=lambda p: p.line or 0))
    return made, problems


class _WebConfigReader:
    """Takes the tree apart; what does not fit is noted."""

    def __init__(self, found: YamlTree) -> None:
        self._tree = found

    def read(self, root: Node) -> WebConfig:
        sections = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
        found = self._tree.mapping(root, "", sections)
        tls, http, users, limit = (found.get(name) for name in sections)
        return WebConfig(
            tls=self._tls(tls) if tls else None,
            headers=self._http(http) if http else {},
            users=self._users(users) if users else {},
            rate_limit=self._rate_limit(limit) if limit else None,
        )

    # --- tls_server_config -------------------------------------------------------------------

    def _tls(self, node: Node) -> TlsServer | None:
        at = "tls_server_config"
        read = {
            **dict.fromkeys((*_FILES, "cert", "key", "client_ca"), self._tree.text),
            "client_auth_type": self._client_auth_type,
            "client_allowed_sans": self._tree.texts,
            "min_version": self._version,
            "max_version": self._version,
            "cipher_suites": self._cipher_suites,
            "curve_preferences": self._curves,
            "prefer_server_cipher_suites": self._tree.boolean,
        }
        nodes = self._tree.mapping(node, at, read)
        values: dict[str, Any] = {}
        for name, each in nodes.items():
            value = read[name](each, f"{at}.{name}")
            if value is not None:
                values["curve" if name == "curve_preferences" else name] = value
        tls = TlsServer(**values)
        used = tls.files or tls.cert or tls.key or tls.client_ca or "client_auth_type" in values
        if not used:  # as the toolkit: the other keys alone enable nothing
            for name, each in nodes.items():
                self._tree.warn(
                    each, f"{at}.{name}", "does nothing: there is no cert_file", "add cert_file"
                )
            return None
        self._check_tls(tls, nodes, node)
        return tls

    def _check_tls(self, tls: TlsServer, nodes: Mapping[str, Node], node: Node) -> None:
        at = "tls_server_config"
        for what, other in (
            ("cert_file", "cert"),
            ("key_file", "key"),
            ("client_ca_file", "client_ca"),
        ):
            file, inline = getattr(tls, what), getattr(tls, other)
            if file and inline:
                message, fix = f"is given beside {other}", "keep one of the two"
                self._tree.note(nodes[what], f"{at}.{what}", message, fix)
            if not file and not inline and what != "client_ca_file":
                fix = f"name the file: {what}: …"
                self._tree.note(node, at, f"has neither {what} nor {other}", fix)
        order = (*OLD_VERSIONS, *VERSIONS)
        if order.index(tls.min_version) > order.index(tls.max_version):
            message = f"is {tls.min_version}, above max_version, which is {tls.max_version}"
            self._tree.note(nodes["min_version"], f"{at}.min_version", message, "lower it")
        ca = "client_ca_file" if tls.client_ca_file else "client_ca"
        if getattr(tls, ca) and tls.client_auth_type == CLIENT_AUTH_TYPES[0]:
            fix = f"add client_auth_type: {VERIFY}"
            self._tree.note(nodes[ca], f"{at}.{ca}", "is used by nothing without it", fix)
        if tls.client_auth_type != CLIENT_AUTH_TYPES[0] and not getattr(tls, ca):
            self._tree.warn(
                nodes["client_auth_type"],
                f"{at}.client_auth_type",
                "without client_ca_file lets in whoever has a certificate of any of the system's "
                "authorities",
                "name your own authority: client_ca_file: …",
            )
        if tls.client_allowed_sans and tls.client_auth_type != VERIFY:
            name = "client_allowed_sans"
            message = f"holds nobody back while client_auth_type is {tls.client_auth_type}"
            self._tree.note(nodes[name], f"{at}.{name}", message, f"make that {VERIFY}")

    def _client_auth_type(self, node: Node, at: str) -> str | None:
        value = self._tree.text(node, at)
        if value in UNVERIFIED:
            message = f"{value} asks for a certificate that nothing verifies; vllmd cannot do that"
            self._tree.note(node, at, message, f"write {VERIFY}, with client_ca_file")
            return None
        if value and value not in CLIENT_AUTH_TYPES:
            self._tree.unknown(node, at, value, CLIENT_AUTH_TYPES)
            return None
        return value or None

    def _version(self, node: Node, at: str) -> str | None:
        if tree.is_null(node):
            return None
        value = self._tree.text(node, at)
        if value in OLD_VERSIONS:
            message = f"{value} is not to be had: TLS 1.2 and 1.3 are what Debian's OpenSSL speaks"
            self._tree.note(node, at, message, "write TLS12, or TLS13")
            return None
        if value not in VERSIONS:
            self._tree.unknown(node, at, value or "", VERSIONS)
            return None
        return value

    def _cipher_suites(self, node: Node, at: str) -> tuple[str, ...]:
        values = self._tree.texts(node, at) or ()
        for value in values:
            if value not in CIPHERS:
                self._tree.unknown(node, at, value, CIPHERS)
        return values

    def _curves(self, node: Node, at: str) -> str | None:
        values = self._tree.texts(node, at) or ()
        for value in values:
            if value not in CURVES:
                self._tree.unknown(node, at, value, CURVES)
        if len(values) > 1:
            message = f"names {len(values)} curves, and vllmd can be held to one"
            self._tree.note(node, at, message, "name one, or none: then OpenSSL chooses")
        return values[0] if values else None

    # --- the others --------------------------------------------------------------------------

    def _http(self, node: Node) -> Mapping[str, str]:
        at = "http_server_config"
        nodes = self._tree.mapping(node, at, ("http2", "headers"))
        if "http2" in nodes and self._tree.boolean(nodes["http2"], f"{at}.http2"):
            self._tree.warn(
                nodes["http2"],
                f"{at}.http2",
                "this exporter speaks HTTP/1.1, which Prometheus takes as well",
                "write false, or leave it out",
            )
        if "headers" not in nodes:
            return {}
        at += ".headers"
        headers: dict[str, str] = {}
        for name, each in self._tree.mapping(nodes["headers"], at, HEADERS).items():
            value = self._tree.text(each, f"{at}.{name}") or ""
            if HEADERS[name] and value not in HEADERS[name]:
                self._tree.unknown(each, f"{at}.{name}", value, HEADERS[name])
            elif not value.isascii() or not value.isprintable():
                message = f"got {value!r}, which no header may hold"
                self._tree.note(each, f"{at}.{name}", message, "write it in printable ASCII")
            elif value:
                headers[name] = value
        return MappingProxyType(headers)

    def _users(self, node: Node) -> Mapping[str, str]:
        at = "basic_auth_users"
        users: dict[str, str] = {}
        for name, each in self._tree.mapping(node, at).items():
            value = self._tree.text(each, f"{at}.{name}") or ""
            if reason := hash_problem(value):
                fix = "make one: htpasswd -nBC 10 \"\" | tr -d ':\\n'"
                self._tree.note(each, f"{at}.{name}", reason, fix)
            elif ":" in name:
                fix = "take the colon out: a client cannot send it"
                self._tree.note(each, f"{at}.{name}", "has a colon in the name", fix)
            else:
                users[name] = value
                if cost_of(value) > SLOW_COST:
                    self._tree.warn(
                        each,
                        f"{at}.{name}",
                        f"has a hash of cost {cost_of(value)}: a first login takes seconds",
                        "make one of cost 10",
                    )
        return MappingProxyType(users)

    def _rate_limit(self, node: Node) -> RateLimit | None:
        at = "rate_limit"
        nodes = self._tree.mapping(node, at, ("interval", "burst"))
        interval_s, burst = 0.0, 0
        if "interval" in nodes:
            interval_s = self._tree.duration(nodes["interval"], f"{at}.interval") or 0.0
        if "burst" in nodes:
            burst = self._tree.integer(nodes["burst"], f"{at}.burst") or 0
        if not interval_s:
            return None
        if burst < 1:
            place = nodes.get("burst", node)
            message = "without a burst of 1 or more no request is let through"
            self._tree.note(place, f"{at}.burst", message, "write burst: 10")
        return RateLimit(interval_s, burst)


def hash_problem(value: str) -> str:
    """Say what is wrong with a bcrypt hash; nothing if it can be used. The hash is not shown."""
    version, _, rest = value[1:].partition("$") if value.startswith("$") else ("", "", "")
    cost, _, digest = rest.partition("$")
    if version not in ("2a", "2b", "2y"):
        return "is not a bcrypt hash, which begins with $2y$, $2b$ or $2a$"
    if len(cost) != 2 or not cost.isdecimal() or not 4 <= int(cost) <= 31:
        return "is a bcrypt hash without a cost from 04 to 31"
    if int(cost) > HIGHEST_COST:
        return f"is a bcrypt hash of cost {cost}: one login would take minutes"
    alphabet = set("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    if len(digest) != _SALT_AND_DIGEST or not set(digest) <= alphabet:
        return f"is a bcrypt hash of {len(value)} characters; whole ones have 60"
    return ""


def cost_of(value: str) -> int:
    """Return the cost of a bcrypt hash."""
    return int(value[4:6])
