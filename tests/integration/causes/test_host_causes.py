"""What alerts of a host's disks, of its memory and of vllmd itself are for, done to a host."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.helpers.disk import fill, small_disk
from tests.helpers.listening import Handler, listening
from tests.helpers.ports import free_port
from tests.helpers.site import Site, running, wait_for
from tests.integration.causes.conftest import BUSY_S, Watch, Watched, about
from tests.integration.conftest import config_for
from vllmd.history.store import NAME
from vllmd.monitoring.settings import RuleSettings

SIZE = 40 << 20
LOGS = 'vllmd_filesystem_avail_bytes{role="logs"}'
LEAK = 4 << 20
"""The least growth that is told here; by default it is half a GiB an hour."""
GROWS = """
import os, sys, time
if os.fork():
    os.execv(sys.executable, [sys.executable, "-m", "vllmd.demo", *sys.argv[2:]])
kept = []
while os.getppid() != 1:
    if os.path.exists(sys.argv[1]):
        os.remove(sys.argv[1])
        kept.append(os.urandom({size}))
    time.sleep(0.05)
"""
"""A stand-in with a child that takes memory each time a file is there."""


class Receiver(Handler):
    """A server that takes what comes, or nothing, and wants nothing to be tried again."""

    refuses = False

    def reply(self) -> None:
        self.body()
        self.answer(400 if self.refuses else 200)


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let webhook and collector take nothing."""
    monkeypatch.setattr(Receiver, "refuses", True)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host whose log is on a small disk; whom it tells of failures and spans is here."""
    folder = tmp_path_factory.mktemp("host")
    exporter, api, otlp = free_port(), free_port(), free_port()
    with small_disk(folder / "disk", str(SIZE)) as disk, listening(Receiver) as receiver:
        text = config_for(folder, exporter, api)
        text = text.replace(f'log_dir = "{folder}/log"', f'log_dir = "{disk}"')
        program = [sys.executable, "-c", GROWS.format(size=2 * LEAK), str(folder / "more")]
        text = text.replace('executable = "stand-in"', f"executable = {json.dumps(program)}")
        text += f'\n[notify]\nwebhook_url = "{receiver}/hook"\n'
        text += f'\n[traces]\nlisten_http = "127.0.0.1:{otlp}"\nlisten_grpc = ""\n'
        text += f'\n[traces.forward]\nendpoint = "{receiver}"\n'
        made = Site(folder, text, exporter_port=exporter, api_port=api, otlp_port=otlp)
        with running(made):
            made.wait_state("chat", "ready", BUSY_S)
            yield made


@pytest.fixture
def pages(host: Site, watch: Watch, alert: str) -> Watched:
    return watch(host, alert).well()


def leave(host: Site, share: float) -> None:
    """Let so much of the small disk be free."""
    (host.folder / "disk" / "filler").write_bytes(b"")
    disk = os.statvfs(host.folder / "disk")
    taken = disk.f_bavail * disk.f_frsize - int(share * SIZE)
    (host.folder / "disk" / "filler").write_bytes(b"\0" * taken)


def empty(host: Site, pages: Watched) -> None:
    (host.folder / "disk" / "filler").unlink(missing_ok=True)
    pages.until_above(LOGS, SIZE / 2)


@about("VllmdDiskFilling")
def test_cause_begins_with_a_page_that_has_forgotten_the_one_before(
    host: Site, watch: Watch, pages: Watched, alert: str
) -> None:
    """The page says for seconds more that a disk is full which is empty again."""
    filler = fill(host.folder / "disk")
    pages.until_below(LOGS, 0.01 * SIZE)
    filler.unlink()
    watch(host, alert).well().nothing()


@about("VllmdDiskFull")
def test_disk_that_is_full(host: Site, pages: Watched) -> None:
    leave(host, 0.03)
    pages.until_below(LOGS, 0.04 * SIZE)
    try:
        pages.look(20).only()
    finally:
        empty(host, pages)


@about("VllmdDiskFilling")
def test_disk_that_fills_up(host: Site, pages: Watched) -> None:
    """From 14.5 % free, 0.6 % every quarter of an hour."""
    for n in range(14):
        share = 0.145 - 0.006 * n
        leave(host, share)
        pages.until_below(LOGS, (share + 0.003) * SIZE)
        pages.look(15)
    pages.only()
    empty(host, pages)


@about("VllmdLogsDropped")
def test_log_that_finds_no_room(host: Site, pages: Watched) -> None:
    filler = fill(host.folder / "disk")
    try:
        with open(f"/proc/{host.engine('chat')['pid']}/fd/1", "w") as printed:
            printed.write("a line that finds no room\n" * 1000)
        pages.until("vllmd_log_writable", 0).look(3).only()
    finally:
        filler.unlink()


@about("VllmdHostMemoryLeak")
def test_engine_that_takes_more_of_the_hosts_memory(host: Site, pages: Watched) -> None:
    resident = "vllmd_engine_memory_resident_bytes"
    for _ in range(9):
        bound = pages.value(resident) + LEAK
        (host.folder / "more").touch()
        pages.until_above(resident, bound).look(40)
    pages.only(RuleSettings(host_leak_bytes=LEAK))


@about("VllmdConfigRefused")
def test_configuration_that_cannot_be_read(host: Site, pages: Watched) -> None:
    good = host.config.read_text()
    host.config.write_text(good + "\n[engines.chat\n")
    host.daemon.send_signal(signal.SIGHUP)
    try:
        pages.until("vllmd_config_last_reload_successful", 0).look(15).only()
    finally:
        host.config.write_text(good)
        host.daemon.send_signal(signal.SIGHUP)
        pages.until("vllmd_config_last_reload_successful", 1)


@pytest.mark.usefixtures("refusal")
@about("VllmdNotificationsFailed")
def test_webhook_that_refuses(host: Site, pages: Watched) -> None:
    failed = pages.value('vllmd_notifications_total{outcome="failed"}')
    before = host.engine("chat")
    os.kill(host.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
    host.wait_new_run("chat", before, 30)
    pages.until_above('vllmd_notifications_total{outcome="failed"}', failed).look(3).only()


@pytest.mark.usefixtures("refusal")
@about("VllmdOtlpDropped")
def test_collector_of_traces_that_refuses(host: Site, pages: Watched) -> None:
    refused = 'vllmd_otlp_forward_spans_total{outcome="refused"}'
    before = pages.value(refused)
    host.chat("tiny", tokens=2)
    pages.until_above(refused, before)
    pages.look().go_on(20).only()


@about("VllmdConnectionsFull")
def test_client_that_connects_without_end(host: Site, pages: Watched) -> None:
    port = int(host.exporter.rpartition(":")[2])
    with ExitStack() as open_ones:
        for _ in range(400):
            made = open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
            made.setblocking(False)
        full = 'vllmd_connections_closed_total{reason="full"}'
        wait_for("closed ones", lambda: pages.value(full) >= 30)
    pages.look().go_on(15).only()


@about("VllmdLate")
def test_daemon_that_gets_no_cpu(host: Site, pages: Watched) -> None:
    """It is stopped for three seconds; the page has the longest of a minute."""
    host.daemon.send_signal(signal.SIGSTOP)
    time.sleep(3)
    host.daemon.send_signal(signal.SIGCONT)
    pages.until_above("vllmd_event_loop_lag_seconds", 1)
    pages.look(15).only()


@about("VllmdHistoryDropped")
def test_history_that_cannot_be_written(host: Site, pages: Watched) -> None:
    """A directory in the place of the file: as good as a disk that refuses everything."""
    host.stop()
    path = host.folder / "state" / NAME
    path.unlink()
    path.mkdir()
    host.start()
    host.wait_state("chat", "ready", BUSY_S)
    pages.until("vllmd_history_up", 0).look(3).only()
    path.rmdir()
