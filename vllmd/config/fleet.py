"""`[fleet]`: the hosts that serve the same models, and how they are asked and reached.

The table is the same on every host; it is data only, and no daemon speaks to another for it.
"""

import re
from collections.abc import Iterable
from typing import Any

import attrs

from vllmd.config import rules
from vllmd.config.rules import RuleError, key
from vllmd.util.units import HOUR_S, MINUTE_S

DEFAULT_PORT = 9840
HOST_WORD = "{host}"
"""In the command: where the host's name goes."""
MOST_HOSTS = 10_000
EXPECTS_HOST = 'a host such as "gpu01", "gpu01:9840" or "[2001:db8::1]:9840"'
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?P<name>{_NAME}|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{{1,5}}))?")


@attrs.frozen
class FleetHost:
    """One host: its name or address, and the port of its vllmd's pages."""

    name: str
    port: int = DEFAULT_PORT

    @property
    def netloc(self) -> str:
        """Host and port as they stand in a URL."""
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"

    def __str__(self) -> str:
        """Return it as it is shown: the port only where it is another than usual."""
        return self.name if self.port == DEFAULT_PORT else self.netloc


def parse_host(value: Any) -> FleetHost:
    """Accept a name or address with or without a port; nothing that a program takes for an option.

    Raises: RuleError.
    """
    found = _HOST.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise RuleError(f"{EXPECTS_HOST}; got {value!r}")
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port <= 65535:
        raise RuleError(f"{EXPECTS_HOST}; {port} is no port")
    return FleetHost(found["name"].strip("[]"), port)


def parse_hosts(values: Iterable[Any]) -> tuple[FleetHost, ...]:
    """Accept hosts of which none is there twice. Raises: RuleError."""
    hosts = tuple(parse_host(value) for value in values)
    if len(hosts) > MOST_HOSTS:
        raise RuleError(f"{MOST_HOSTS} hosts at most; there are {len(hosts)}")
    seen: set[FleetHost] = set()
    for host in hosts:
        if host in seen:
            raise RuleError(f"each host once; {host} is there twice")
        seen.add(host)
    return hosts


def _hosts(value: Any) -> tuple[FleetHost, ...] | str:
    if isinstance(value, str) and value.startswith("/"):
        return rules.absolute_path(value)
    if not isinstance(value, list):
        raise RuleError('a list such as ["gpu01", "gpu02:9840"], or the path of a file of hosts')
    return parse_hosts(value)


def _command(value: Any) -> tuple[str, ...]:
    words = rules.one_or_more_texts(value)
    if isinstance(value, str) or not any(HOST_WORD in word for word in words):
        raise RuleError(f'a list of words, one of them with {HOST_WORD}: ["ssh", "{{host}}", …]')
    return words


@attrs.frozen
class FleetConfig:
    """Hosts behind one address; the same table on each of them."""

    name: str | None = key(
        rules.matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", "a name such as prod, 63 characters"),
        None,
        help="The fleet's name: the label `fleet` of vllmd_engine_info, and of what is exported.",
        example='"prod"',
    )
    hosts: tuple[FleetHost, ...] | str = key(
        _hosts,
        (),
        help="Its hosts, by the names that the others, Prometheus and the balancer reach them by, "
        f"with the port of their pages where that is not {DEFAULT_PORT}; or a file with one a "
        "line.",
        example='["gpu01", "gpu02"]',
    )
    min_ready: int = key(
        rules.integer(0, MOST_HOSTS),
        1,
        help="Replicas of an engine that stay ready while one host after another is restarted.",
        reason="One that serves is the least that is no outage.",
    )
    command: tuple[str, ...] = key(
        _command,
        ("ssh", HOST_WORD, "vllmd"),
        help=f"How vllmd is run on a host, as a list of words; {HOST_WORD} is the host's name. "
        "What is to be done there comes behind it. No shell is used here.",
    )
    user: str | None = key(
        rules.text,
        None,
        help="The user of the other hosts' pages, where daemon.web_config_file asks for one.",
        example='"vllmd"',
    )
    password_file: str | None = key(
        rules.absolute_path,
        None,
        help="A file with that user's password.",
        example='"/etc/vllmd/credentials/fleet"',
    )
    tls: bool = key(
        rules.boolean,
        False,
        help="Ask the other hosts by TLS, with the system's certificates; with ca_file always.",
    )
    ca_file: str | None = key(
        rules.absolute_path,
        None,
        help="The certificates by which the other hosts' pages are trusted.",
        example='"/etc/vllmd/fleet-ca.pem"',
    )
    timeout_s: float = key(
        rules.number(0, HOUR_S, above=True),
        5.0,
        help="How long a host may take to answer, in seconds.",
        reason="A page of eight GPUs takes milliseconds; a host that is down must not hold up all.",
    )
    settle_s: float = key(
        rules.number(0, 10 * MINUTE_S),
        10.0,
        help="How long a replica stays ready before the next host's turn, in seconds: longer than "
        "the balancer takes to see it.",
        reason="The HAProxy that is exported looks each second.",
    )

    @property
    def uses_tls(self) -> bool:
        """Whether the hosts are asked by TLS."""
        return self.tls or self.ca_file is not None
