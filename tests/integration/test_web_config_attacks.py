"""TLS and passwords of the exporter, against whoever guesses or does not let go."""

import base64
import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
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
from tests.helpers.site import Site, wait_for
from tests.helpers.web import HASH, PASSWORD, TLS, USERS, client_hello
from tests.helpers.web_site import GOOD, certificate_of, page, site_with

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
