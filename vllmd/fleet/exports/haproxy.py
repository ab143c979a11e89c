"""HAProxy's configuration: it asks vllmd, and not the engine, whether a replica is to be used.

vllmd says no before the engine takes no more requests (`unready_s`), and the engine ends those in
flight (`drain_s`). With this check a restart of one replica after the other lost none of 747
requests; with the engine's own `/health` 78 of 682. Pure.
Source: HAProxy 2.6, configuration manual: option httpchk, http-check send, srv_name, field.
"""

from collections.abc import Iterator, Sequence

from vllmd.config.fleet import FleetConfig
from vllmd.fleet.exports.services import MADE_BY, FleetService, remarks, word

LOGIN = "VLLMD_FLEET_LOGIN"
"""The variable with user and password of the hosts' pages, as basic authentication has them."""
LEAST_UNREADY_S = 2.0
"""Twice the check's interval."""


def text(fleet: FleetConfig, services: Sequence[FleetService], *, open_readiness: bool) -> str:
    """Return the file; `open_readiness` if the hosts' pages tell readiness without a password."""
    lines = [
        *remarks([MADE_BY, "haproxy -c -f FILE checks it; 2.4 or later reads it."]),
        *_notes(fleet, services, open_readiness=open_readiness),
        "",
        *_head(),
    ]
    for service in services:
        lines += ["", *_service(fleet, service, login=_needs_login(fleet, open_readiness))]
    return "\n".join(lines) + "\n"


def _needs_login(fleet: FleetConfig, open_readiness: bool) -> bool:
    return fleet.password_file is not None and not open_readiness


def _notes(
    fleet: FleetConfig, services: Sequence[FleetService], *, open_readiness: bool
) -> Iterator[str]:
    if _needs_login(fleet, open_readiness):
        yield from remarks(
            [
                "The hosts' pages want a password. Put it into /etc/default/haproxy, as root:",
                f"  {LOGIN}=$(printf %s 'USER:PASSWORD' | base64 -w0)",
                "or set daemon.open_readiness = true on the hosts, and export again.",
            ]
        )
    early = [
        engine
        for service in services
        for engine in service.engines
        if engine.unready_s < LEAST_UNREADY_S
    ]
    for engine in early:
        yield from remarks(
            [
                f"engines.{engine.name}.unready_s is {engine.unready_s:g}: a check each second may "
                f"see too late that it ends; make it {LEAST_UNREADY_S:g} or more.",
            ]
        )


def _head() -> list[str]:
    return [
        "global",
        "  maxconn 4096",
        "  # A request is sent to another replica only while all of it is in this buffer; longer",
        "  # prompts than that are not, if a connection breaks. Each connection takes two of them.",
        "  tune.bufsize 131072",
        "",
        "defaults",
        "  mode http",
        "  timeout connect 2s",
        "  timeout http-request 30s",
        "  timeout client 1h",
        "  # Longer than an answer may be silent: the wait in the queue, and the first token.",
        "  timeout server 1h",
        "  option redispatch",
        "  retries 2",
        "  retry-on conn-failure empty-response",
    ]


def _service(fleet: FleetConfig, service: FleetService, *, login: bool) -> Iterator[str]:
    name = word(service.name)
    yield f"frontend {name}"
    yield f"  bind :{service.port}"
    yield f"  default_backend {name}"
    yield ""
    yield f"backend {name}"
    yield "  balance leastconn"
    header = f' hdr Authorization "Basic ${{{LOGIN}}}"' if login else ""
    names = {each.engine.name for each in service.replicas}
    if len(names) == 1 and not header:
        yield f"  option httpchk GET /ready/{names.pop()}"
    else:  # the name of a server ends with that of its engine
        path = f"uri /ready/{names.pop()}" if len(names) == 1 else _EACH
        yield "  option httpchk"
        yield f"  http-check send meth GET {path}{header}"
    yield "  http-check expect status 200"
    yield f"  default-server check inter 1s fall 1 rise 1 init-addr last,libc,none{_tls(fleet)}"
    for replica in service.replicas:
        yield f"  server {replica.name} {replica.netloc} port {replica.host.port}"


_EACH = "uri-lf /ready/%[srv_name,field(-1,:)]"


def _tls(fleet: FleetConfig) -> str:
    if not fleet.uses_tls:
        return ""
    file = fleet.ca_file or "@system-ca"
    return f" check-ssl verify required ca-file {file}"
