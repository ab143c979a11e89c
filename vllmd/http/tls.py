"""A server's TLS: what the web configuration asks for, as a context of Python's ssl."""

import ipaddress
import os
import ssl
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vllmd.config.problem import ConfigProblem
from vllmd.http.web_config import CIPHERS, VERIFY, TlsServer
from vllmd.shim.files import read_regular

MAX_FILE_BYTES = 256 * 1024
_AT = "tls_server_config"
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


class TlsError(Exception):
    """What the web configuration names cannot be used; `problem` says what and where."""

    def __init__(self, problem: ConfigProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def server_context(settings: TlsServer, folder: Path) -> ssl.SSLContext:
    """Make the context; names of files are from `folder`.

    Raises: TlsError: a file cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.maximum_version = _VERSIONS[settings.max_version]
    _load_own(context, settings, folder)
    _load_authorities(context, settings, folder)
    try:
        _choose(context, settings)
    except (ssl.SSLError, ValueError) as error:
        message = f"this host's OpenSSL does not take the suites or the curve: {_reason(error)}"
        raise _error("cipher_suites", message, "name others, or none") from None
    if settings.client_allowed_sans:
        context.sslobject_class = _checked_by(frozenset(settings.client_allowed_sans))
    return context


def _choose(context: ssl.SSLContext, settings: TlsServer) -> None:
    if settings.cipher_suites:
        names = [name for each in settings.cipher_suites if (name := CIPHERS[each])]
        if names:
            context.set_ciphers(":".join(names))
        else:  # none but those of TLS 1.3
            context.minimum_version = ssl.TLSVersion.TLSv1_3
    if settings.curve:
        context.set_ecdh_curve(_CURVES[settings.curve])
    if not settings.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _load_own(context: ssl.SSLContext, settings: TlsServer, folder: Path) -> None:
    cert = _content(settings.cert_file, settings.cert, "cert_file", folder)
    key = _content(settings.key_file, settings.key, "key_file", folder)
    with _named(cert) as cert_path, _named(key) as key_path:
        try:
            # without a password OpenSSL would ask for one, on the terminal
            context.load_cert_chain(cert_path, key_path, password=_no_password)
        except _EncryptedError:
            message = f"{settings.key_file or 'key'} is encrypted"
            raise _error("key_file", message, "write it without a password") from None
        except (ssl.SSLError, OSError) as error:
            names = f"{settings.cert_file or 'cert'} and {settings.key_file or 'key'}"
            raise _error(
                "cert_file",
                f"{names} cannot be used: {_reason(error)}",
                "give a certificate in PEM, with the key that belongs to it",
            ) from None


def _load_authorities(context: ssl.SSLContext, settings: TlsServer, folder: Path) -> None:
    if settings.client_auth_type == "NoClientCert":
        return
    required = settings.client_auth_type == VERIFY
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate may be named, as in Go
    if not settings.client_ca_file and not settings.client_ca:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    content = _content(settings.client_ca_file, settings.client_ca, "client_ca_file", folder)
    try:
        context.load_verify_locations(cadata=content.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        message = f"{settings.client_ca_file or 'client_ca'} has no certificate: {_reason(error)}"
        raise _error("client_ca_file", message, "give your authority's, in PEM") from None


def _content(file: str, inline: str, key: str, folder: Path) -> bytes:
    if not file:
        return inline.encode()
    path = folder / file
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        fix = f"let this user read it (uid {os.geteuid()}), or name another"
        if isinstance(error, FileNotFoundError):
            fix = "names are from the folder of this file; make it, or name another"
        raise _error(key, f"{path} cannot be read: {error.strerror}", fix) from None


class _named:  # noqa: N801 - used as a function
    """Give content a path: ssl reads certificates and keys from files only."""

    def __init__(self, content: bytes) -> None:
        self._fd = os.memfd_create("vllmd-tls", os.MFD_CLOEXEC)
        os.write(self._fd, content)

    def __enter__(self) -> str:
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class _EncryptedError(Exception):
    pass


def _no_password() -> str:
    raise _EncryptedError


def _reason(error: Exception) -> str:
    """Return OpenSSL's words without the place in its sources."""
    reason = getattr(error, "reason", None)
    return str(reason or error).replace("_", " ").lower()


def _error(key: str, message: str, fix: str) -> TlsError:
    return TlsError(ConfigProblem(message, fix, f"{_AT}.{key}"))


# --- names in a client's certificate ---------------------------------------------------------


def _checked_by(allowed: frozenset[str]) -> type[ssl.SSLObject]:
    """Return a kind of connection whose handshake fails for a certificate without such a name.

    Python's ssl has no callback for it; asyncio ends a connection whose handshake raises.
    """

    class Checked(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            found = set(names_of(self.getpeercert() or {}))
            if not found & allowed:
                raise ssl.SSLCertVerificationError(
                    1, "no name of the client's certificate is in client_allowed_sans"
                )

    return Checked


def names_of(certificate: Mapping[str, object]) -> Iterator[str]:
    """Yield the alternative names of a certificate, as `getpeercert` has it."""
    names = certificate.get("subjectAltName", ())
    for kind, name in names if isinstance(names, Iterable) else ():
        if kind == "IP Address":
            yield str(ipaddress.ip_address(name.strip()))
        elif kind in ("DNS", "email", "URI"):
            yield name
