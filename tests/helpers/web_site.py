"""A site whose exporter has a web configuration."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.helpers.ports import free_port
from tests.helpers.site import Site, running
from tests.helpers.web import CERTIFICATES, PASSWORD, write
from tests.integration.conftest import config_for

GOOD = ("prometheus", PASSWORD)


@contextmanager
def site_with(folder: Path, web: str, *keys: str) -> Iterator[Site]:
    """Run a site whose exporter has a web configuration."""
    path = write(folder / "web", web)
    exporter, api = free_port(), free_port()
    more = "\n".join([f'web_config_file = "{path}"', *keys])
    text = config_for(folder, exporter, api, daemon=more)
    made = Site(folder, text, exporter_port=exporter, api_port=api)
    with running(made):
        yield made


def certificate_of(made: Site) -> bytes:
    """Return the certificate that a new connection is shown."""
    host, port = made.exporter.removeprefix("http://").split(":")
    context = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as one,
    ):
        return one.getpeercert(binary_form=True) or b""


def page(made: Site, auth: tuple[str, str] | None = GOOD) -> httpx.Response:
    url = made.exporter.replace("http:", "https:")
    context = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    return httpx.get(f"{url}/metrics", auth=auth, verify=context, trust_env=False, timeout=60)
