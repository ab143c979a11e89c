"""Who reaches the engine, and who may read what is to be kept."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity

PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
LOOPBACK = {"127.0.0.1", "localhost", "127.0.0.0/8", "*"}


def api_exposed(case: Case) -> Iterator[Finding]:
    """Find an open API, and one that can be commanded."""
    if not case.reachable:
        return
    where = f"host = {case.engine.host!r}"
    if case.env.get("VLLM_SERVER_DEV_MODE") == "1":
        yield Finding(
            "api-exposed",
            FindingSeverity.ERROR,
            f"{where} with VLLM_SERVER_DEV_MODE = 1",
            "Everybody who reaches the port may put the engine to sleep, and run code in it.",
            'Take the variable out, or set host = "127.0.0.1".',
        )
    if not case.env.get("VLLM_API_KEY") and case.config.fleet.hosts:
        yield Finding(
            "api-exposed",
            FindingSeverity.INFO,
            f"{where} without VLLM_API_KEY, for the balancer of the fleet",
            "A replica has to listen. Whoever else reaches the port may use the model.",
            "Let the host's firewall take connections to it from the balancer only, or write a key "
            "to /etc/vllmd/credentials/api_key.",
        )
    elif not case.env.get("VLLM_API_KEY"):
        yield Finding(
            "api-exposed",
            FindingSeverity.WARNING,
            f"{where} without VLLM_API_KEY",
            "Everybody who reaches the port may use the model.",
            'Write one to /etc/vllmd/credentials/api_key, or set host = "127.0.0.1" with a proxy '
            "in front.",
        )


def secrets(case: Case) -> Iterator[Finding]:
    """Find files with secrets and folders whose modes are too wide."""
    for path in case.host.readable_secrets:
        yield Finding(
            "secrets",
            FindingSeverity.WARNING,
            f"{path} has secrets, and every user of this host may read it",
            "Who has the token or the key is who it was given to.",
            f"chmod 640 {path}; chgrp vllmd {path}",
        )
    for path in case.host.writable_folders:
        yield Finding(
            "secrets",
            FindingSeverity.WARNING,
            f"every user of this host may write to {path}",
            "Sockets, logs and the history there could be replaced by anybody.",
            f"chmod o-w {path}",
        )


def port_taken(case: Case) -> Iterator[Finding]:
    """Find a port at which somebody else answers."""
    engine = case.engine
    holder = case.host.in_use.get((engine.host, engine.port))
    if holder is None:
        return
    found = f"is in use by {holder}" if holder else "answers, and it is not the engine"
    yield Finding(
        "port-taken",
        FindingSeverity.ERROR,
        f"port {engine.port} {found}",
        "The engine loads for minutes, and ends because it cannot listen.",
        f"'ss -ltnp sport = :{engine.port}' names who. If it is this engine, leave it: "
        "it serves. Else end it, or choose another port.",
    )


def proxies(case: Case) -> Iterator[Finding]:
    """Find a proxy that requests to the own host would take."""
    name = next((name for name in PROXY_VARIABLES if case.env.get(name)), None)
    exempt = f"{case.env.get('no_proxy', '')},{case.env.get('NO_PROXY', '')}".split(",")
    if name is None or LOOPBACK & {each.strip() for each in exempt}:
        return
    yield Finding(
        "proxies",
        FindingSeverity.WARNING,
        f"{name} is set, and no_proxy does not spare 127.0.0.1",
        "vllmd itself uses no proxy for its engines; but curl, and applications on this host, send "
        "their requests to the engine through it.",
        "Set no_proxy=127.0.0.1,localhost where the proxy is set.",
    )
