"""How the daemon starts and ends; what it does with engines is in tests/integration."""

import asyncio
import io
import itertools
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import httpx
import pytest
import structlog

from tests.helpers.make import config
from tests.helpers.ports import free_port
from tests.helpers.site import wait_for
from vllmd.config.load import load
from vllmd.config.model import Config
from vllmd.config.problem import ConfigProblem
from vllmd.control.client import ControlClient
from vllmd.daemon import reload
from vllmd.daemon.daemon import Daemon
from vllmd.daemon.environment import Address, Environment
from vllmd.daemon.runtime import Runtime
from vllmd.errors import ConfigError, VllmdError
from vllmd.eventlog import log
from vllmd.eventlog.bus import Event, EventBus
from vllmd.events.daemon import DaemonFailed, DaemonRecovered, DaemonStopped, DaemonStopping
from vllmd.events.history import HistoryInterrupted
from vllmd.history.reading import EventFilter, read
from vllmd.notify.systemd import Notifier
from vllmd.util.deadline import call_within


def text_in(folder: Path, port: int) -> str:
    return (
        f'[daemon]\nlisten = "127.0.0.1:{port}"\nrun_dir = "{folder}/run"\n'
        f'state_dir = "{folder}/state"\nlog_dir = "{folder}/log"\n'
    )


def config_in(folder: Path, port: int) -> Config:
    return config(text_in(folder, port))


def config_file_in(folder: Path) -> tuple[Path, Config]:
    text = text_in(folder, free_port())
    path = folder / "v.toml"
    path.write_text(text)
    return path, attrs.evolve(config(text), path=str(path))


async def started(daemon: Daemon) -> tuple[asyncio.Task[None], Address]:
    address: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.run(address.set_result))
    futures: set[asyncio.Future[object]] = {task, address}  # type: ignore[arg-type]
    await asyncio.wait(futures, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return task, address.result()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Return the socket of a service manager, which `notifier` tells."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "n.sock"))
        bound.settimeout(5)
        yield bound


def notifier(manager: socket.socket) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.getsockname()})


async def test_run_without_engines_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    task, address = await started(Daemon(config_in(tmp_path, free_port())))
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(f"{address.exporter}/metrics")
        ready = await client.get(f"{address.exporter}/-/ready")
    assert "vllmd_build_info" in page.text
    assert ready.status_code == 200
    status = await asyncio.to_thread(ControlClient(Path(address.control)).status)
    assert status["engines"] == []
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)
    assert not Path(address.control).exists()


async def test_run_as_a_service_notifies_and_uses_the_managers_socket(
    tmp_path: Path, manager: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        environment = Environment(sockets={"exporter": held}, notifier=notifier(manager))
        for _ in range(2):  # the second daemon finds the socket as the first one did
            task, address = await started(Daemon(config_in(tmp_path, 1), environment))
            assert address.exporter.endswith(f":{held.getsockname()[1]}")
            await asyncio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, 10)
        received = [manager.recv(1000) for _ in range(4)]
    assert received[:2] == [b"READY=1", b"WATCHDOG=1"]
    assert b"STATUS=no engine is configured" in received
    assert b"STOPPING=1" in received


async def test_run_with_a_problem_says_so_until_the_file_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "POLL_S", 0.05)
    loop, read_twice, reads = asyncio.get_running_loop(), asyncio.Event(), itertools.count(1)

    def noted(path: Path) -> tuple[Config, list[ConfigProblem]]:
        if next(reads) == 2:
            loop.call_soon_threadsafe(read_twice.set)
        return load(path)

    monkeypatch.setattr(reload, "load", noted)
    path = tmp_path / "v.toml"
    path.write_text("broken")
    broken = attrs.evolve(config_in(tmp_path, free_port()), path=str(path))
    task, address = await started(Daemon(broken, problem="line 1 is broken"))
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(f"{address.exporter}/metrics")
    assert "vllmd_config_last_reload_successful 0.0" in page.text
    status = await asyncio.to_thread(ControlClient(Path(address.control)).status)
    assert status["daemon"]["problem"] == "line 1 is broken"
    await read_twice.wait()
    assert not task.done()
    path.write_text(text_in(tmp_path, broken.daemon.listen[1]))
    for _ in range(200):
        status = await asyncio.to_thread(ControlClient(Path(address.control)).status)
        if status["daemon"]["problem"] is None:
            break
        await asyncio.sleep(0.02)
    assert status["daemon"]["problem"] is None
    assert not task.done()
    await ended(task)


async def test_sighup_reloads_a_good_file_only_and_tells_the_manager(
    tmp_path: Path, manager: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = Environment(notifier=notifier(manager))
    path, given = config_file_in(tmp_path)
    good = path.read_text()
    task, _ = await started(Daemon(given, environment))

    def answers(last: bytes) -> list[bytes]:
        received = [manager.recv(1000)]
        while received[-1] != last:
            received.append(manager.recv(1000))
        return received

    await asyncio.to_thread(answers, b"READY=1")
    for bad in ("modle = 1", good.replace("/run", "/elsewhere")):
        path.write_text(bad)
        os.kill(os.getpid(), signal.SIGHUP)
        received = await asyncio.to_thread(answers, b"READY=1")
        assert any(line.startswith(b"RELOADING=1\nMONOTONIC_USEC=") for line in received)
        assert not task.done()
    path.write_text(good)
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.to_thread(answers, b"READY=1")
    assert not task.done()
    await ended(task)
    output = capsys.readouterr().out
    assert "modle" in output
    assert "daemon.run_dir is now" in output
    assert output.count("config.reloaded") == 1
    assert output.count("daemon.started") == 1


async def ended(task: asyncio.Task[None]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)


async def test_sighup_after_sigterm_does_not_keep_it_alive(tmp_path: Path) -> None:
    """The kernel may deliver two signals in the other order."""
    _, given = config_file_in(tmp_path)
    daemon = Daemon(given)
    task, _ = await started(daemon)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.wait_for(task, 10)
    with pytest.raises(VllmdError, match="is ending"):
        await daemon.reload()


async def test_sigterm_after_sighup_ends_the_daemon(tmp_path: Path) -> None:
    _, given = config_file_in(tmp_path)
    task, _ = await started(Daemon(given))
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)


async def test_reload_of_a_file_that_cannot_be_read_is_refused_and_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, given = config_file_in(tmp_path)
    good = path.read_text()
    daemon = Daemon(given)
    task, address = await started(daemon)
    client = ControlClient(Path(address.control))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="it is a FIFO, not a regular file"):
        await asyncio.to_thread(client.reload, apply=False)
    path.unlink()
    path.write_text("x = " + "[" * 5000)
    with pytest.raises(ConfigError, match="nested deeper than"):
        await asyncio.to_thread(client.reload, apply=False)

    begun, gone = threading.Event(), threading.Event()

    def hangs(*_: object) -> bytes:
        begun.set()
        gone.wait()
        return good.encode()

    monkeypatch.setattr("vllmd.config.load.read_regular", hangs)
    monkeypatch.setattr(call_within, "__defaults__", (60.0,))
    reading = asyncio.ensure_future(asyncio.to_thread(client.reload, apply=False))
    assert await asyncio.to_thread(begun.wait, 30)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{address.exporter}/-/healthy")).status_code == 200
    assert not reading.done()
    gone.set()
    await reading
    gone.clear()
    monkeypatch.setattr(call_within, "__defaults__", (1.0,))
    with pytest.raises(ConfigError, match="no answer within 1 s: does its file system hang"):
        await asyncio.to_thread(client.reload, apply=False)
    gone.set()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)


def told(folder: Path, *names: str) -> list[Event]:
    """Return what the history has of these, and that nothing interrupted it."""
    path = folder / "state" / "vllmd.db"
    return read(path, EventFilter(names=(*names, HistoryInterrupted.name)))


@pytest.fixture
def logged() -> Iterator[Environment]:
    """Have what is logged go the way that it goes in a daemon."""
    environment = Environment(feed=EventBus())
    log.configure(io.StringIO(), steps=[environment.feed])
    yield environment
    structlog.reset_defaults()


async def test_port_that_somebody_has_is_told_and_the_history_is_closed(
    tmp_path: Path, logged: Environment
) -> None:
    """It used to be left open, and the next start said that it was interrupted."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        given = config_in(tmp_path, other.getsockname()[1])
        with pytest.raises(VllmdError, match="in use"):
            await Daemon(given, logged).run()
    task, _ = await started(Daemon(config_in(tmp_path, free_port()), logged))
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)
    failed, recovered = told(tmp_path, DaemonFailed.name, DaemonRecovered.name)
    assert (failed.name, recovered.name) == (DaemonFailed.name, DaemonRecovered.name)
    assert "in use" in failed.fields["problem"]
    assert recovered.fields["how"] == "failed"


async def test_mistake_that_ends_the_daemon_is_told_from_an_orderly_end(
    tmp_path: Path, logged: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config_in(tmp_path, free_port())

    async def fails(*_: object, **__: object) -> None:
        raise KeyError("cpu_s")

    with monkeypatch.context() as broken:
        broken.setattr(Runtime, "end", fails)
        task, _ = await started(Daemon(given, logged))
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyError):
            await asyncio.wait_for(task, 10)
    found = told(tmp_path, "daemon.*")
    assert [each.name for each in found][-2:] == [DaemonStopping.name, DaemonFailed.name]
    assert found[-1].fields["problem"] == "KeyError: 'cpu_s'"
    task, address = await started(Daemon(given, logged))
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(f"{address.exporter}/metrics")
    assert "vllmd_daemon_unexpected_ends_total 1.0" in page.text
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)
    assert told(tmp_path, "daemon.*")[-1].name == DaemonStopped.name


async def test_sighup_that_meets_a_mistake_still_tells_the_manager(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the unit would stay 'reloading' until the manager gives it up."""
    environment = Environment(notifier=notifier(manager))
    _, given = config_file_in(tmp_path)
    task, _ = await started(Daemon(given, environment))

    def until_ready() -> None:
        while manager.recv(1000) != b"READY=1":
            pass

    await asyncio.to_thread(until_ready)
    monkeypatch.setattr("vllmd.daemon.daemon.read_again", lambda *_: 1 / 0)
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.to_thread(until_ready)
    assert environment.parts.failures()["reload"] == 1
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)


async def test_reload_without_a_file_is_refused_and_leaves_no_mark(
    tmp_path: Path, manager: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = Environment(notifier=notifier(manager))
    daemon = Daemon(config_in(tmp_path, free_port()), environment)
    task, address = await started(daemon)
    with pytest.raises(VllmdError, match="nothing to reload"):
        await daemon.reload()
    os.kill(os.getpid(), signal.SIGHUP)

    def reloaded() -> None:
        for wanted in (b"RELOADING=1", b"READY=1"):
            while not manager.recv(1000).startswith(wanted):
                pass

    await asyncio.to_thread(reloaded)
    assert daemon.about()["problem"] is None
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(f"{address.exporter}/metrics")
    assert "vllmd_config_last_reload_successful 1.0" in page.text
    await ended(task)
    assert "config.refused" not in capsys.readouterr().out


async def test_reload_that_fails_half_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, given = config_file_in(tmp_path)
    daemon = Daemon(given)
    task, _ = await started(daemon)
    engine = '[engines.chat]\nmodel = "m"\nautostart = false\n'
    path.write_text(path.read_text() + "poll_s = 9\n" + engine)
    runtime = daemon._runtime

    def broken(config: Config, *_: object) -> None:
        if config.daemon.poll_s == 9:
            raise RuntimeError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr(runtime.cost_service, "configure", broken)
        with pytest.raises(RuntimeError, match="a mistake"):
            await daemon.reload()
    assert daemon.about()["problem"] is None
    assert runtime.engines.supervisors == {}
    assert list(runtime.outputs.figures()) == []
    assert runtime.config.daemon.poll_s == 5
    assert (await daemon.reload())["added"] == ("chat",)
    assert list(runtime.engines.supervisors) == ["chat"]
    await ended(task)


async def test_control_socket_that_is_removed_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.control.socket_file.LOOK_S", 0.05)
    task, address = await started(Daemon(config_in(tmp_path, free_port())))
    for _ in range(2):
        Path(address.control).unlink()
        await asyncio.to_thread(wait_for, "the socket", Path(address.control).exists)
        status = await asyncio.to_thread(ControlClient(Path(address.control)).status)
        assert status["engines"] == []
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)
    assert not Path(address.control).exists()
