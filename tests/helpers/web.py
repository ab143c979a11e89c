"""Web configurations for tests, and the certificates that they name."""

import contextlib
import shutil
import ssl
from pathlib import Path

CERTIFICATES = Path(__file__).parents[1] / "data" / "tls"
PASSWORD = "correct horse"
HASH = "$2b$04$etqqx019DgSYxGnC.aPytOJOb/8fKmNIWlSe6ScnQ3cr4eY3Pi4Vm"
"""Of `PASSWORD`, at the lowest cost."""

TLS = """\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
"""
MUTUAL = f"""{TLS}\
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
"""
USERS = f"""\
basic_auth_users:
  prometheus: {HASH}
"""


def client_hello() -> bytes:
    """Return what a client of TLS says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def server_context() -> ssl.SSLContext:
    """Return what a server of TLS begins with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    return context


def write(folder: Path, text: str) -> Path:
    """Write a web configuration, beside a copy of the certificates."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in CERTIFICATES.iterdir():
        shutil.copyfile(each, folder / each.name)
    path = folder / "web.yml"
    path.write_text(text)
    for each in (path, *folder.glob("*.key")):
        each.chmod(0o600)
    return path
