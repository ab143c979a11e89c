"""Clients that mean no good, and what they cost a daemon: in CPU seconds and memory, not in time.

An address is a host and a port, or the path of a Unix socket.
"""

import contextlib
import multiprocessing
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import psutil

from tests.helpers.site import Site

Address = tuple[str, int] | str
REQUEST = b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n"
ANSWER_CPU_S = 1.0
"""What the daemon may spend, all in all, from a question to its answer."""
PEAK_BYTES = 200e6
NOBODY = 65534
PATIENCE_S = 120.0
"""The machine may be busy; what is asserted is CPU time."""


@attrs.frozen
class Cost:
    """What a process has used up to now."""

    cpu_s: float
    peak_bytes: int


class Watched:
    """A daemon under attack."""

    def __init__(self, made: Site, pid: int | None = None) -> None:
        self.site = made
        self._process = psutil.Process(pid or made.daemon.pid)

    def cost(self) -> Cost:
        times = self._process.cpu_times()
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return Cost(times.user + times.system, int(peak.split()[1]) * 1024)

    def descriptors(self) -> int:
        return self._process.num_fds()

    def cpu_until(self, ask: Callable[[], object]) -> float:
        """Return how many CPU seconds the daemon used until it had answered."""
        before = self.cost().cpu_s
        ask()
        return self.cost().cpu_s - before

    # --- what others want of it meanwhile ------------------------------------------------------

    def healthy(self) -> None:
        response = httpx.get(f"{self.site.exporter}/-/healthy", trust_env=False, timeout=PATIENCE_S)
        assert response.status_code == 200

    def metrics(self) -> None:
        url = f"{self.site.exporter}/metrics"
        response = httpx.get(url, trust_env=False, timeout=PATIENCE_S)
        assert response.status_code == 200
        assert "vllmd_build_info" in response.text

    def status(self) -> None:
        assert self.site.control.status()["engines"]

    def assert_holds(self) -> None:
        """Ask as others do while the attack goes on."""
        for ask in (self.healthy, self.metrics, self.status):
            for _ in range(3):  # on a full host, what the attack burns meanwhile is in it
                used_s = self.cpu_until(ask)
                if used_s <= ANSWER_CPU_S:
                    break
            assert used_s <= ANSWER_CPU_S, f"{ask.__name__} came after {used_s:.2f} CPU seconds"
        peak = self.cost().peak_bytes
        assert peak <= PEAK_BYTES, f"the daemon had {peak / 1e6:.0f} MB"


# --- attacks: each goes on as long as its block ------------------------------------------------


def connect(address: Address, *, receive_bytes: int | None = None) -> socket.socket:
    """Open a connection, or raise OSError."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.settimeout(PATIENCE_S)
    if receive_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


@contextmanager
def holding(
    address: Address, number: int, sent: bytes = b"", *, receive_bytes: int | None = None
) -> Iterator[list[socket.socket]]:
    """Open so many connections, say something on each, and never read."""
    may_open(number + 200)
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(number):
            try:
                one = stack.enter_context(connect(address, receive_bytes=receive_bytes))
            except TimeoutError:  # nobody accepts any more
                break
            except OSError:
                continue
            held.append(one)
            one.settimeout(0.2)
            with contextlib.suppress(OSError):  # it is closed already, or full
                one.sendall(sent)
        yield held


@contextmanager
def dripping(address: Address, number: int, head: bytes) -> Iterator[list[socket.socket]]:
    """Send heads of requests on so many connections, one byte a second on each."""
    done = threading.Event()
    with holding(address, number) as held:

        def drip() -> None:
            for byte in head:
                for each in held:
                    with contextlib.suppress(OSError):
                        each.sendall(bytes([byte]))
                if done.wait(1):
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield held
        finally:
            done.set()
            thread.join()


@contextmanager
def repeating(act: Callable[[], object], threads: int = 4) -> Iterator[None]:
    """Do something over and over; what fails, fails."""
    done = threading.Event()

    def go_on() -> None:
        while not done.is_set():
            with contextlib.suppress(OSError):
                act()

    started = [threading.Thread(target=go_on) for _ in range(threads)]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in started:
            thread.join()


def open_and_close(address: Address, number: int = 50) -> None:
    """Open connections and close each at once."""
    for _ in range(number):
        connect(address).close()


def ask_all(address: Address, path: bytes, number: int) -> list[bytes]:
    """Ask on so many connections at once; returns the answers."""
    with holding(address, number, REQUEST % path) as held:
        return [_answer(each) for each in held]


@contextmanager
def pipelining(address: Address, path: bytes, number: int, connections: int) -> Iterator[None]:
    """Send so many requests on each connection without waiting, and read whatever comes."""

    def read(one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while one.recv(1 << 20):
                pass

    with contextlib.ExitStack() as stack:
        held: list[socket.socket] = []
        threads: list[threading.Thread] = []
        for _ in range(connections):
            one = stack.enter_context(connect(address))
            threads += [
                threading.Thread(target=_send, args=(one, (REQUEST % path) * number)),
                threading.Thread(target=read, args=(one,)),
            ]
            held.append(one)
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for one in held:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _send(to: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        to.sendall(data)


def _answer(of: socket.socket) -> bytes:
    of.settimeout(PATIENCE_S)
    answer = b""
    with contextlib.suppress(OSError, StopIteration):
        while b"\r\n\r\n" not in answer and (block := of.recv(65536)):
            answer += block
    return answer


def ended(held: Sequence[socket.socket]) -> int:
    """Return how many of them the other side has closed."""
    gone = 0
    for each in held:
        each.setblocking(False)
        try:
            while each.recv(1 << 16):
                pass
            gone += 1
        except BlockingIOError:
            pass
        except OSError:
            gone += 1
    return gone


def may_open(files: int) -> None:
    """Raise this process's own limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))


@contextmanager
def as_nobody(attack: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run an attack in a process of another user, where root can; it gets an event to end by."""
    context = multiprocessing.get_context("fork")
    begun, done = context.Event(), context.Event()

    def run() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        attack(_Both(begun, done))  # type: ignore[arg-type]

    process: Any = context.Process(target=run, daemon=True)
    process.start()
    try:
        begun.wait(2 * PATIENCE_S)  # one that waits for a place is an attack, too
        yield
    finally:
        done.set()
        process.join(PATIENCE_S)


class _Both:
    """`wait` tells that the attack is on, and waits for its end."""

    def __init__(self, begun: Any, done: Any) -> None:
        self._begun, self._done = begun, done

    def wait(self, timeout: float | None = None) -> bool:
        self._begun.set()
        return bool(self._done.wait(timeout))

    def is_set(self) -> bool:
        self._begun.set()
        return bool(self._done.is_set())


# --- those on HTTP ---------------------------------------------------------------------------

HELLO = b"\x01\x00\x3f\xfc\x03\x03" + bytes(16_000)
HUGE_HELLO = b"\x01\x01\xfb\xd0\x03\x03" + bytes(100_000)


def records(message: bytes) -> bytes:
    """Return a message of a handshake in records of TLS."""
    pieces = [message[at : at + 16_000] for at in range(0, len(message), 16_000)]
    return b"".join(b"\x16\x03\x01" + len(each).to_bytes(2) + each for each in pieces)


GARBAGE = b"garbage without an end " * 50
BOTH = (
    b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
)
HEAD = b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-slow: yes\r\n"


Attack = Callable[[Address, bytes], AbstractContextManager[object]]
ATTACKS: dict[str, Attack] = {
    "1,100 idle": lambda address, _: holding(address, 1100),
    "5,000 idle": lambda address, _: holding(address, 5000),
    "500 half heads": lambda address, _: holding(address, 500, HEAD),
    "200 slow heads": lambda address, _: dripping(address, 200, HEAD),
    "200 that never read": lambda address, path: holding(
        address, 200, REQUEST % path * 100, receive_bytes=2048
    ),
    "200 at once, over and over": lambda address, path: repeating(
        lambda: ask_all(address, path, 200), threads=1
    ),
    "20 with 1,000 pipelined each": lambda address, path: pipelining(
        address, path, 1000, connections=20
    ),
    "300 garbage": lambda address, _: holding(address, 300, GARBAGE),
    "two lengths, over and over": lambda address, _: repeating(lambda: _two_lengths(address)),
    "opened and closed, over and over": lambda address, _: repeating(
        lambda: open_and_close(address)
    ),
}


def _two_lengths(address: Address) -> None:
    with connect(address) as one:
        one.sendall(BOTH)
        answer = b""
        while block := one.recv(65536):
            answer += block
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1") == 1, answer
