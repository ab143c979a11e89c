"""What clients that mean no good cost the daemon, in its own CPU seconds and memory."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.helpers import attacks
from tests.helpers.attacks import ATTACKS, GARBAGE, HEAD, REQUEST, Address, Watched
from tests.helpers.ports import free_port
from tests.helpers.prometheus import prometheus
from tests.helpers.site import Site, running, wait_for
from tests.integration.conftest import config_for
from vllmd.control.answers import LOGGED_A_MINUTE
from vllmd.control.events import events_of
from vllmd.history.reading import EventFilter

FEW = 10
"""So many connections at least are an attack's own, so that it did reach the daemon."""


@contextmanager
def holding_out(folder: Path, *under: str) -> Iterator[Watched]:
    """Run a daemon, with a program that sets its limits; at the end all is as it was."""
    for path in (folder, *folder.parents[:2]):
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


def test_daemon_without_descriptors_says_so_and_answers(tmp_path: Path) -> None:
    with holding_out(tmp_path, "prlimit", "--nofile=64:64") as watched:
        exporter, control = exporter_of(watched.site), control_of(watched.site)
        began = time.monotonic()
        with attacks.holding(exporter, 300), attacks.holding(control, 300):
            watched.assert_holds()
        closed = watched.site.samples("vllmd_connections_closed_total")
        assert closed["exporter", "exhausted"] + closed["control", "exhausted"] > 0
        told = watched.site.log().count("event=listener.exhausted")
        minutes = 1 + (time.monotonic() - began) // 60
        assert 1 <= told <= 2 * minutes  # once a minute for each listener


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
    found = events_of(
        under_attack.site.control, EventFilter(names=("request.refused",), limit=10_000)
    )
    assert 1 <= len(found) <= 2 * LOGGED_A_MINUTE
    assert under_attack.site.engine("chat")["state"] == "ready"


def test_prometheus_goes_on_scraping_while_connections_lie_idle(
    under_attack: Watched, tmp_path: Path
) -> None:
    on = exporter_of(under_attack.site)
    target = under_attack.site.exporter.removeprefix("http://")

    def lie_idle() -> None:
        with attacks.holding(on, 1100):
            time.sleep(0.5)

    with (
        prometheus(tmp_path / "prometheus", target) as stored,
        attacks.repeating(lie_idle, threads=1),
    ):
        good = "sum_over_time(up[1h])"
        before = stored.value(good) or 0
        wait_for("scrapes", lambda: (stored.value(good) or 0) >= before + 5)
        under_attack.assert_holds()


def test_connections_that_say_nothing_more_are_closed(under_attack: Watched) -> None:
    """Without an attack that needs their place: by the limits of time alone."""
    on = exporter_of(under_attack.site)
    unread = REQUEST % b"/metrics" * 200
    with (
        attacks.holding(on, 5) as silent,
        attacks.holding(on, 5, HEAD) as half,
        attacks.holding(on, 5, GARBAGE) as garbage,
        attacks.dripping(on, 5, HEAD * 100) as dripping,
        attacks.holding(on, 5, unread, receive_bytes=2048) as never_read,
    ):
        held = [*silent, *half, *garbage, *dripping]
        wait_for("their end", lambda: attacks.ended(held) == len(held), timeout_s=60)
        counts = "vllmd_connections_closed_total"
        wait_for(
            "the end of those that never read",
            lambda: under_attack.site.samples(counts)["exporter", "unread"] >= len(never_read),
            timeout_s=60,
        )
    closed = under_attack.site.samples(counts)
    assert closed["exporter", "idle"] >= 5
    assert closed["exporter", "head"] >= 15
