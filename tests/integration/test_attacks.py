"""What clients that mean no good cost the daemon, in its own CPU seconds and memory."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.helpers import attacks
from tests.helpers.attacks import REQUEST, Address, Watched
from tests.helpers.site import Site, free_port, running
from tests.integration.conftest import config_for
from vllmd.control.answers import LOGGED_A_MINUTE
from vllmd.history.reading import Wanted

GARBAGE = b"\x16\x03\x01garbage without an end" * 50
BOTH = (
    b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
)
HEAD = b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-slow: yes\r\n"
FEW = 10
"""So many connections at least are an attack's own, so that it did reach the daemon."""

Attack = Callable[[Address, bytes], AbstractContextManager[object]]
ATTACKS: dict[str, Attack] = {
    "1,100 idle": lambda address, _: attacks.holding(address, 1100),
    "5,000 idle": lambda address, _: attacks.holding(address, 5000),
    "500 half heads": lambda address, _: attacks.holding(address, 500, HEAD),
    "200 slow heads": lambda address, _: attacks.dripping(address, 200, HEAD),
    "200 that never read": lambda address, path: attacks.holding(
        address, 200, REQUEST % path * 100, receive_bytes=2048
    ),
    "200 at once, over and over": lambda address, path: attacks.repeating(
        lambda: attacks.ask_all(address, path, 200), threads=1
    ),
    "20 with 1,000 pipelined each": lambda address, path: attacks.pipelining(
        address, path, 1000, connections=20
    ),
    "300 garbage": lambda address, _: attacks.holding(address, 300, GARBAGE),
    "two lengths, over and over": lambda address, _: attacks.repeating(
        lambda: _two_lengths(address)
    ),
    "opened and closed, over and over": lambda address, _: attacks.repeating(
        lambda: attacks.open_and_close(address)
    ),
}


def _two_lengths(address: Address) -> None:
    with attacks.connect(address) as one:
        one.sendall(BOTH)
        answer = b""
        while block := one.recv(65536):
            answer += block
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1") == 1, answer


@contextmanager
def holding_out(folder: Path, *under: str) -> Iterator[Watched]:
    """Run a daemon, with a program that sets its limits; at the end all is as it was."""
    for path in (folder, *folder.parents[:1]):
        path.chmod(path.stat().st_mode | 0o001)  # pytest makes its folders for their owner only
    exporter, api = free_port(), free_port()
    made = Site(folder, config_for(folder, exporter, api), exporter_port=exporter, api_port=api)
    made.under = under
    with running(made):
        made.wait_state("chat", "ready")
        run = made.engine("chat")["run_id"]
        yield Watched(made)
        assert made.engine("chat")["run_id"] == run
        assert made.chat("tiny")
        failures = made.samples("vllmd_part_failures_total")
        assert set(failures.values()) == {0.0}, failures
        assert len(made.log()) < 100_000


@pytest.fixture(scope="module")
def under_attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with holding_out(tmp_path_factory.mktemp("attacks")) as watched:
        yield watched


@pytest.fixture(scope="module")
def with_few_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with holding_out(tmp_path_factory.mktemp("few"), "prlimit", "--nofile=1024:1024") as watched:
        yield watched


def exporter_of(made: Site) -> Address:
    host, port = made.exporter.removeprefix("http://").split(":")
    return host, int(port)


def control_of(made: Site) -> Address:
    return str(made.folder / "run" / "control.sock")


def accepted(made: Site, listener: str) -> float:
    return made.samples("vllmd_connections_accepted_total")[(listener,)]


def assert_holds(watched: Watched, listener: str, attack: AbstractContextManager[object]) -> None:
    began = accepted(watched.site, listener)
    before = watched.cost()
    with attack:
        watched.assert_holds()
        assert watched.descriptors() <= 700
    used = watched.cost()
    print(f"{used.cpu_s - before.cpu_s:.2f} CPU s, {used.peak_bytes / 1e6:.0f} MB", end=" ")
    assert accepted(watched.site, listener) > began + FEW


@pytest.mark.parametrize("attack", ATTACKS)
def test_exporter_holds(under_attack: Watched, attack: str) -> None:
    on = ATTACKS[attack](exporter_of(under_attack.site), b"/metrics")
    assert_holds(under_attack, "exporter", on)


@pytest.mark.parametrize("attack", ATTACKS)
def test_control_socket_holds(under_attack: Watched, attack: str) -> None:
    """As another user, if this one is root."""
    address = control_of(under_attack.site)

    def go_on(until: threading.Event) -> None:
        with ATTACKS[attack](address, b"/v1/status"):
            until.wait()

    assert_holds(under_attack, "control", attacks.as_nobody(go_on))


@pytest.mark.parametrize("attack", ["1,100 idle", "5,000 idle", "500 half heads"])
def test_exporter_with_few_files_holds(with_few_files: Watched, attack: str) -> None:
    on = ATTACKS[attack](exporter_of(with_few_files.site), b"/metrics")
    assert_holds(with_few_files, "exporter", on)


def test_both_at_once_with_few_files_hold(with_few_files: Watched) -> None:
    exporter, control = exporter_of(with_few_files.site), control_of(with_few_files.site)
    with attacks.holding(exporter, 1100), attacks.holding(control, 1100, HEAD):
        with_few_files.assert_holds()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody without rights")
def test_refusals_do_not_fill_the_history(under_attack: Watched) -> None:
    address = control_of(under_attack.site)
    request = b"POST /v1/engines/chat/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"

    def go_on(until: threading.Event) -> None:
        answers = b""
        with attacks.connect(address) as one:
            for _ in range(30):
                one.sendall(request * 100)
                while answers.count(b"HTTP/1.1 403") < 100:
                    answers += one.recv(1 << 20)
                answers = b""
        until.wait()

    with attacks.as_nobody(go_on):
        under_attack.assert_holds()
    found = under_attack.site.control.events(Wanted(names=("request.refused",), limit=10_000))
    assert 1 <= len(found) <= 2 * LOGGED_A_MINUTE
    assert under_attack.site.engine("chat")["state"] == "ready"
