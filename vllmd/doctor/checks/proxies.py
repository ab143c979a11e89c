"""A proxy stands between this host and itself."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "proxies"
VARIABLES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
LOOPBACK = {"127.0.0.1", "localhost", "127.0.0.0/8", "*"}


def check(case: Case) -> Iterator[Finding]:
    """Find a proxy that requests to the own host would take."""
    name = next((name for name in VARIABLES if case.env.get(name)), None)
    spared = f"{case.env.get('no_proxy', '')},{case.env.get('NO_PROXY', '')}".split(",")
    if name is None or LOOPBACK & {each.strip() for each in spared}:
        return
    yield Finding(
        ID,
        Severity.WARNING,
        f"{name} is set, and no_proxy does not spare 127.0.0.1",
        "vllmd itself uses no proxy for its engines; but curl, and applications on this host, send "
        "their requests to the engine through it.",
        "Set no_proxy=127.0.0.1,localhost where the proxy is set.",
    )
