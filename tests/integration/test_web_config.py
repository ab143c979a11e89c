"""TLS and passwords of the exporter, with a real Prometheus, and against whoever guesses."""

import base64
import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import httpx
import pytest

from tests.helpers import attacks
from tests.helpers.attacks import (
    ANSWER_CPU_S,
    GARBAGE,
    HELLO,
    HUGE_HELLO,
    PEAK_BYTES,
    Watched,
    records,
)
from tests.helpers.ports import free_port
from tests.helpers.prometheus import prometheus
from tests.helpers.site import VLLMD, Site, running, wait_for
from tests.helpers.web import CERTIFICATES, HASH, MUTUAL, PASSWORD, TLS, USERS, client_hello, write
from tests.integration.conftest import config_for
from vllmd.config.problem import InvalidConfigError
from vllmd.http import web_file

GOOD = ("prometheus", PASSWORD)
HTTPS = f"scheme: https\ntls_config: {{ ca_file: {CERTIFICATES}/authority.pem }}\n"
CERTIFICATE = (
    "scheme: https\ntls_config: {{ ca_file: {0}/authority.pem, cert_file: {0}/{1}.pem, "
    "key_file: {0}/{1}.key }}\n"
)
LOGIN = 'basic_auth: {{ username: "{0}", password: "{1}" }}\n'
RIGHT, WRONG = LOGIN.format(*GOOD), LOGIN.format("prometheus", "wrong")
OURS, STRANGERS = (CERTIFICATE.format(CERTIFICATES, name) for name in ("client", "unknown"))

NOT_ALLOWED = "server returned HTTP status 401 Unauthorized"
PLAIN = "HTTP status 400"
REFUSED = (
    "tls: (unknown certificate authority|certificate required|bad certificate)|EOF|reset|closed"
)

ALLOWED = "  client_allowed_sans: [{}]\n"
MODES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "tls": (
        TLS,
        {
            "right": (HTTPS, ""),
            "plain": ("", PLAIN),
            "untrusting": ("scheme: https\n", "certificate signed by unknown authority"),
        },
    ),
    "mutual": (
        MUTUAL,
        {
            "right": (OURS, ""),
            "none": (HTTPS, REFUSED),
            "stranger": (STRANGERS, REFUSED),
            "plain": ("", PLAIN),
        },
    ),
    "named": (
        MUTUAL + ALLOWED.format("prometheus.example"),
        {"right": (OURS, ""), "none": (HTTPS, REFUSED)},
    ),
    "others-named": (MUTUAL + ALLOWED.format("other.example"), {"other": (OURS, REFUSED)}),
    "password": (
        USERS,
        {
            "right": (RIGHT, ""),
            "none": ("", NOT_ALLOWED),
            "wrong": (WRONG, NOT_ALLOWED),
            "nobody": (LOGIN.format("nobody", PASSWORD), NOT_ALLOWED),
            "tls": (HTTPS + RIGHT, "server gave HTTP response to HTTPS client"),
        },
    ),
    "both": (
        MUTUAL + USERS,
        {
            "right": (OURS + RIGHT, ""),
            "no-password": (OURS, NOT_ALLOWED),
            "wrong-password": (OURS + WRONG, NOT_ALLOWED),
            "no-certificate": (HTTPS + RIGHT, REFUSED),
        },
    ),
}


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


@pytest.mark.parametrize("mode", MODES)
def test_prometheus_scrapes_with_the_right_and_with_nothing_else(tmp_path: Path, mode: str) -> None:
    web, jobs = MODES[mode]
    with site_with(tmp_path, web) as made:
        target = made.exporter.removeprefix("http://")
        given = {name: more for name, (more, _) in jobs.items()}
        with prometheus(tmp_path / "prometheus", target, jobs=given) as scraper:
            wait_for(
                "scrapes of all jobs",
                lambda: len(scraper.query("count_over_time(up[1h]) >= 2")) == len(jobs),
            )
            errors = scraper.target_errors()
            for name, (_, error) in jobs.items():
                up = scraper.value(f'up{{job="{name}"}}')
                assert up == (0 if error else 1), (name, errors[name])
                assert re.search(error, errors[name]), (name, errors[name])
                infos = scraper.query(f'vllmd_build_info{{job="{name}"}}')
                assert bool(infos) is not bool(error), name


CASES: dict[str, tuple[str, bool, bool]] = {
    "empty": ("", True, True),
    "tls": (TLS, True, True),
    "mutual": (MUTUAL, True, True),
    "users": (USERS, True, True),
    "all versions": (f"{TLS}  min_version: TLS12\n  max_version: TLS13\n", True, True),
    "suites": (f"{TLS}  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n", True, True),
    "curve": (f"{TLS}  curve_preferences: [CurveP521]\n", True, True),
    "headers": ("http_server_config: {headers: {X-Frame-Options: deny}}\n", True, True),
    "number as header": ("http_server_config: {headers: {X-XSS-Protection: 1}}\n", True, True),
    "boolean of YAML 1.1": (f"{TLS}  prefer_server_cipher_suites: off\n", True, True),
    "if given": (
        MUTUAL.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"),
        True,
        True,
    ),
    "unknown key": ("tls_server_config: {cert_filse: a}\n", False, False),
    "unknown table": ("tls_config: {}\n", False, False),
    "twice": (f"{USERS}  prometheus: {HASH}\n", False, False),
    "no key": ("tls_server_config: {cert_file: server.pem}\n", False, False),
    "no such file": ("tls_server_config: {cert_file: a, key_file: b}\n", False, False),
    "other key": (
        "tls_server_config: {cert_file: server.pem, key_file: client.key}\n",
        False,
        False,
    ),
    "encrypted key": (
        "tls_server_config: {cert_file: server.pem, key_file: encrypted.key}\n",
        False,
        False,
    ),
    "authority for nothing": (f"{TLS}  client_ca_file: authority.pem\n", False, False),
    "unknown type": (f"{TLS}  client_auth_type: Require\n", False, False),
    "unknown version": (f"{TLS}  min_version: TLS111\n", False, False),
    "unknown suite": (f"{TLS}  cipher_suites: [TLS_X]\n", False, False),
    "unknown curve": (f"{TLS}  curve_preferences: [CurveP257]\n", False, False),
    "unknown header": ("http_server_config: {headers: {Server: x}}\n", False, False),
    "wrong header": ("http_server_config: {headers: {X-Frame-Options: x}}\n", False, False),
    "no hash": ("basic_auth_users: {ann: doe}\n", False, False),
    "no table": ("- a\n", False, False),
    "no YAML": ("tls_server_config: [\n", False, False),
    "quoted boolean": (f'{TLS}  prefer_server_cipher_suites: "true"\n', False, False),
    # what Python's ssl cannot do, and what lets in more than its writer thinks
    "any certificate": (f"{TLS}  client_auth_type: RequireAnyClientCert\n", True, False),
    "asked for": (f"{TLS}  client_auth_type: RequestClientCert\n", True, False),
    "old versions": (f"{TLS}  min_version: TLS10\n", True, False),
    "versions crossed": (f"{TLS}  min_version: TLS13\n  max_version: TLS12\n", True, False),
    "several curves": (f"{TLS}  curve_preferences: [X25519, CurveP256]\n", True, False),
    "no authority in it": (
        MUTUAL.replace("authority.pem", "server.key"),
        True,
        False,
    ),
    # newer than Debian's promtool
    "allowed names": (f"{MUTUAL}  client_allowed_sans: [a]\n", False, True),
    "rate limit": ("rate_limit: {interval: 1s, burst: 2}\n", False, True),
    "inline": ("tls_server_config: {cert: a, key: b}\n", False, False),
}


@pytest.mark.parametrize("case", CASES)
def test_file_is_taken_as_prometheus_takes_it(tmp_path: Path, case: str) -> None:
    text, theirs, ours = CASES[case]
    path = write(tmp_path, text)
    said = subprocess.run(
        ["promtool", "check", "web-config", str(path)], capture_output=True, text=True, check=False
    )
    assert (said.returncode == 0) is theirs, said.stdout + said.stderr
    try:
        web_file.load(path)
        taken = True
    except InvalidConfigError:
        taken = False
    assert taken is ours


# --- while it runs ---------------------------------------------------------------------------


def certificate_of(made: Site) -> bytes:
    """Return the certificate that a new connection is shown."""
    host, port = made.exporter.removeprefix("http://").split(":")
    context = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as one,
    ):
        return one.getpeercert(binary_form=True) or b""


def in_binary(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((CERTIFICATES / f"{name}.pem").read_text())


def page(made: Site, auth: tuple[str, str] | None = GOOD) -> httpx.Response:
    url = made.exporter.replace("http:", "https:")
    context = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    return httpx.get(f"{url}/metrics", auth=auth, verify=context, trust_env=False, timeout=60)


def is_good(made: Site) -> bool:
    """Tell what the page says of the web configuration; what was written may be a second old."""
    return "vllmd_web_config_last_reload_successful 1.0" in page(made).text


def test_certificates_and_users_are_read_again_and_a_broken_file_changes_nothing(
    tmp_path: Path,
) -> None:
    with site_with(tmp_path, TLS + USERS) as made:
        web = tmp_path / "web"
        pid = made.control.status()["daemon"]["pid"]
        assert certificate_of(made) == in_binary("server")
        wait_for("the page", lambda: is_good(made) is True)

        shutil.copy(CERTIFICATES / "renewed.pem", web / "server.pem")  # half of a renewal
        time.sleep(2 * web_file.LOOK_EVERY_S)
        assert certificate_of(made) == in_binary("server")
        wait_for("the page", lambda: is_good(made) is False)
        shown = made.vllmd("status").stdout
        assert "the web configuration cannot be used, what was read before still holds" in shown
        shutil.copy(CERTIFICATES / "renewed.key", web / "server.key")
        time.sleep(2 * web_file.LOOK_EVERY_S)
        assert certificate_of(made) == in_binary("renewed")
        wait_for("the page", lambda: is_good(made) is True)
        assert "web configuration" not in made.vllmd("status").stdout

        other = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
        (web / "web.yml").write_text(f"{TLS}basic_auth_users: {{ann: {other}}}\n")
        time.sleep(2 * web_file.LOOK_EVERY_S)
        assert page(made).status_code == 401
        assert page(made, ("ann", "another")).status_code == 200

        (web / "web.yml").write_text("broken")
        assert made.vllmd("reload").returncode == 0  # its own file is as it was
        assert page(made, ("ann", "another")).status_code == 200
        assert page(made).status_code == 401
        assert made.control.status()["daemon"]["pid"] == pid
        told = wait_for(
            "events", lambda: made.vllmd("events", "--json").stdout.count("web_config.refused") >= 2
        )
        assert told
        for secret in (PASSWORD, HASH, other, "another"):
            assert secret not in made.log() + made.vllmd("events", "--json").stdout


def test_daemon_of_a_service_comes_up_with_a_broken_file_and_lets_nobody_in(
    tmp_path: Path,
) -> None:
    with site_with(tmp_path, USERS) as made:
        made.wait_state("chat", "ready")
        run = made.engine("chat")["run_id"]
        made.kill_daemon()
        (tmp_path / "web" / "web.yml").write_text("broken")
        with (tmp_path / "daemon.log").open("ab") as log:  # in the foreground it ends, and says why
            made.daemon = subprocess.Popen(
                [*_command(made)], stderr=log, env=_environment(made), start_new_session=True
            )
        assert made.daemon.wait(30) == 78
        assert f"{tmp_path}/web/web.yml:1: error: is not a table of keys" in made.log()
        with (tmp_path / "daemon.log").open("ab") as log:
            made.daemon = subprocess.Popen(
                [*_command(made), "--service"],
                stderr=log,
                env=_environment(made),
                start_new_session=True,
            )
        wait_for("the control socket", made._status)
        assert made.engine("chat")["run_id"] == run
        answer = httpx.get(f"{made.exporter}/metrics", auth=GOOD, trust_env=False)
        assert answer.status_code == 503
        assert "vllmd_" not in answer.text
        (tmp_path / "web" / "web.yml").write_text(USERS)
        wait_for(
            "the page",
            lambda: (
                httpx.get(f"{made.exporter}/metrics", auth=GOOD, trust_env=False).status_code == 200
            ),
        )


def _command(made: Site) -> list[str]:
    return [str(VLLMD), "run", "--config", str(made.config)]


def _environment(made: Site) -> dict[str, str]:
    return {**os.environ, **made.env, "STATE_DIRECTORY": str(made.folder / "state")}


# --- guessing --------------------------------------------------------------------------------

CONNECTIONS, EACH = 20, 5
"""Ten times a second."""
FOR_S = 10.0


FIRST_LOGIN_CPU_S = 2 * ANSWER_CPU_S
"""It waits for two of the attack's checks, and is one itself."""


class Guessing:
    """So many wrong passwords a second, each another one, on connections that are kept."""

    def __init__(self, address: tuple[str, int], hosts: int = 1) -> None:
        """Guess at an address, from so many of one's own."""
        self._address = address
        self._hosts = [f"127.3.{number}.1" for number in range(hosts)] if hosts > 1 else [""]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.sent = self._opened = 0
        self.answered: Counter[bytes] = Counter()

    def __enter__(self) -> "Guessing":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _go_on(self) -> None:
        connections: list[socket.socket] = []
        while not self._done.wait(0.1):
            while len(connections) < max(CONNECTIONS, 2 * len(self._hosts)):
                host = self._hosts[self._opened % len(self._hosts)]
                self._opened += 1
                connections.append(
                    socket.create_connection(self._address, timeout=10, source_address=(host, 0))
                )
                connections[-1].setblocking(False)
            for one in list(connections):
                try:
                    one.sendall(b"".join(self._request() for _ in range(EACH)))
                    with contextlib.suppress(BlockingIOError):
                        self._read(one.recv(1 << 20))
                except OSError:
                    one.close()
                    connections.remove(one)
        for one in connections:
            one.close()

    def _request(self) -> bytes:
        self.sent += 1
        login = base64.b64encode(
            b"%s:wrong%d" % ((b"prometheus", b"ann")[self.sent % 2], self.sent)
        )
        return b"GET /metrics HTTP/1.1\r\nhost: x\r\nauthorization: Basic %s\r\n\r\n" % login

    def _read(self, answers: bytes) -> None:
        self.answered.update(re.findall(rb"HTTP/1.1 (\d+)", answers))


def test_thousand_wrong_passwords_a_second_hold_up_nobody(tmp_path: Path) -> None:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    with site_with(tmp_path, USERS.replace(HASH, hashed), "open_readiness = true") as made:
        made.wait_state("chat", "ready")
        run = made.engine("chat")["run_id"]
        watched = Watched(made)
        host, port = made.exporter.removeprefix("http://").split(":")
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
        good = httpx.Client(transport=elsewhere, auth=GOOD, trust_env=False, timeout=60)
        before, began = watched.cost(), time.monotonic()

        def page_for_good() -> None:
            good.get(f"{made.exporter}/metrics").raise_for_status()

        with Guessing((host, int(port))) as guessing:
            time.sleep(2)
            asked = {
                "healthy": watched.healthy,
                "a first login": page_for_good,
                "the next": page_for_good,
                "status": watched.status,
            }
            spent = {name: watched.cpu_until(ask) for name, ask in asked.items()}
            assert made.chat("tiny")
            time.sleep(max(0.0, FOR_S - (time.monotonic() - began)))
        took_s, used = time.monotonic() - began, watched.cost()
        cpu_s = used.cpu_s - before.cpu_s
        print(f"{guessing.sent / took_s:.0f}/s for {took_s:.1f} s: {cpu_s:.2f} CPU s", end=", ")
        print(f"{used.peak_bytes / 1e6:.0f} MB", spent, dict(guessing.answered), end=" ")
        assert guessing.answered[b"429"] > guessing.answered[b"401"] > 0
        assert set(guessing.answered) <= {b"401", b"429"}
        assert spent.pop("a first login") <= FIRST_LOGIN_CPU_S
        assert max(spent.values()) <= ANSWER_CPU_S
        assert cpu_s <= took_s, "more than one core"
        assert used.peak_bytes <= PEAK_BYTES
        assert made.engine("chat")["run_id"] == run
        assert 1 <= made.log().count("login.refused") <= 1 + took_s / 60
        good.close()


HOSTS = 24


def test_first_login_gets_through_while_many_addresses_guess(tmp_path: Path) -> None:
    """Also readiness checks with a login, and after a restart, when no login is remembered."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    with site_with(tmp_path, USERS.replace(HASH, hashed)) as made:
        host, port = made.exporter.removeprefix("http://").split(":")
        for _ in range(2):
            elsewhere = httpx.HTTPTransport(local_address="127.200.9.9")
            with (
                Guessing((host, int(port)), HOSTS) as guessing,
                httpx.Client(transport=elsewhere, auth=GOOD, trust_env=False, timeout=60) as good,
            ):
                wait_for("guesses", lambda: guessing.answered[b"401"] >= 1, timeout_s=60)
                assert good.get(f"{made.exporter}/-/healthy").status_code == 200
                assert good.get(f"{made.exporter}/metrics").status_code == 200
            made.stop()
            made.start()


TLS_ATTACKS = {
    "5,000 silent": (5000, b""),
    "1,000 half hellos": (1000, records(HELLO)[:8_000]),
    "1,000 hellos of 130 kB": (1000, records(HUGE_HELLO)),
    "1,000 that never answer": (1000, client_hello()),
    "300 garbage": (300, GARBAGE),
}


@pytest.fixture(scope="module")
def with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_with(tmp_path_factory.mktemp("tls"), TLS, "open_readiness = true") as made:
        made.wait_state("chat", "ready")
        yield made


@pytest.mark.parametrize("attack", TLS_ATTACKS)
def test_listener_with_tls_holds(with_tls: Site, attack: str) -> None:
    """Within the bounds of plain HTTP: 1 s of CPU time, 200 MB."""
    watched = Watched(with_tls)
    host, port = with_tls.exporter.removeprefix("http://").split(":")
    before = watched.cost()
    number, sent = TLS_ATTACKS[attack]
    with attacks.holding((host, int(port)), number, sent):
        spent = [watched.cpu_until(lambda: page(with_tls).raise_for_status()) for _ in range(3)]
        spent.append(watched.cpu_until(watched.status))
    used = watched.cost()
    print(f"{used.cpu_s - before.cpu_s:.2f} CPU s, {used.peak_bytes / 1e6:.0f} MB", spent, end=" ")
    assert max(spent) <= ANSWER_CPU_S
    assert used.peak_bytes <= PEAK_BYTES


def test_handshakes_over_and_over_hold_up_nobody(tmp_path: Path) -> None:
    with site_with(tmp_path, TLS, "open_readiness = true") as made:
        made.wait_state("chat", "ready")
        watched = Watched(made)
        with attacks.repeating(lambda: certificate_of(made)):
            time.sleep(2)
            for _ in range(3):
                assert watched.cpu_until(lambda: page(made).raise_for_status()) <= ANSWER_CPU_S
                assert watched.cpu_until(watched.status) <= ANSWER_CPU_S
        assert watched.cost().peak_bytes <= PEAK_BYTES
        assert made.chat("tiny")
