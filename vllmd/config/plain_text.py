"""Secrets that would go to another host without TLS, where everybody on the way can read them."""

from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

from vllmd.config.model import Config
from vllmd.config.problem import TableProblem
from vllmd.config.urls import is_here


def problems(config: Config) -> Iterator[TableProblem]:
    """Yield a warning for each of them."""
    other = next(_asked(config), None)
    fleet = config.fleet
    if fleet.user is not None and fleet.password_file and not fleet.uses_tls and other is not None:
        yield TableProblem(
            ("fleet", "password_file"),
            f"the password goes to {other} by plain HTTP, and whoever is on the way can read it",
            "turn TLS on in each host's web configuration, then set fleet.ca_file, or fleet.tls = "
            "true with certificates that the system trusts",
            is_error=False,
        )
    forward = config.traces.forward
    parts = urlsplit(forward.endpoint or "")
    has_secrets = bool(forward.headers or forward.headers_file)
    if has_secrets and parts.scheme == "http" and not is_here(parts.hostname or ""):
        yield TableProblem(
            ("traces", "forward", "headers" if forward.headers else "headers_file"),
            f"the headers go to {parts.hostname} by plain HTTP, and whoever is on the way can read "
            "them",
            "give an https address as traces.forward.endpoint, or none of a login as a header",
            is_error=False,
        )


def _asked(config: Config) -> Iterator[str]:
    """Yield the other hosts whose pages are asked for with the fleet's password."""
    hosts = config.fleet.hosts
    if isinstance(hosts, str):
        yield f"the hosts of {hosts}"
        hosts = ()
    groups = (each.group.hosts for each in config.engines.values() if each.group is not None)
    for host in chain(hosts, *groups):
        if not is_here(host.name):
            yield str(host)
