"""How the daemon starts and ends; what it does with engines is in tests/integration."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.helpers.make import config
from vllmd.config.model import Config
from vllmd.control.client import ControlClient
from vllmd.daemon import Address, Daemon
from vllmd.errors import DaemonRunningError, VllmdError


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def config_in(folder: Path, port: int) -> Config:
    return config(
        f'[daemon]\nlisten = "127.0.0.1:{port}"\nrun_dir = "{folder}/run"\n'
        f'state_dir = "{folder}/state"\nlog_dir = "{folder}/log"\n'
    )


async def started(daemon: Daemon) -> tuple[asyncio.Task[None], Address]:
    address: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.run(address.set_result))
    futures: set[asyncio.Future[object]] = {task, address}  # type: ignore[arg-type]
    await asyncio.wait(futures, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return task, address.result()


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


async def test_run_second_daemon_names_the_first(tmp_path: Path) -> None:
    task, _ = await started(Daemon(config_in(tmp_path, free_port())))
    with pytest.raises(DaemonRunningError, match=rf"pid {os.getpid()}"):
        await Daemon(config_in(tmp_path, free_port())).run()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 10)


async def test_run_port_in_use_says_how_to_find_who(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(VllmdError, match=rf"ss -ltnp 'sport = {port}'"):
            await Daemon(config_in(tmp_path, port)).run()


async def test_run_folder_that_cannot_be_made_says_which(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(VllmdError, match=r"cannot make .*/file/run"):
        await Daemon(config_in(blocked, free_port())).run()
