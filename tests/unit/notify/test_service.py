import asyncio
import socket
from pathlib import Path

import pytest
import structlog

from tests.helpers.clock import FakeClock, settle
from tests.helpers.make import config, spec
from tests.helpers.shims import FakeShim
from vllmd.eventlog.bus import Event
from vllmd.notify.service import (
    expect_notices,
    report_unconfigured,
    send_notices,
    tell_manager,
    unconfigured,
)
from vllmd.notify.systemd import Notifier
from vllmd.notify.webhook import Outbox
from vllmd.shim.protocol import RUN_RECORD_NAME
from vllmd.shim.record import write_record


async def test_manager_hears_the_status_and_a_sign_of_life_again_and_again(tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.setblocking(False)
    clock = FakeClock()
    said = iter(["chat: loading", "chat: ready"])
    task = asyncio.create_task(
        tell_manager(Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}), said.__next__, clock)
    )
    await settle()
    await clock.advance(5)
    task.cancel()
    manager.sendto(b"end", str(tmp_path / "notify"))
    said_lines = iter(lambda: manager.recv(4096).decode(), "end")
    lines = [line for message in said_lines for line in message.splitlines()]
    manager.close()
    assert lines[0] == "READY=1"
    assert lines.count("WATCHDOG=1") == 2
    assert "STATUS=chat: ready" in lines


async def test_notices_without_an_address_are_not_wanted() -> None:
    outbox = Outbox()
    outbox.wanted = True
    await send_notices(config("").notify, outbox, FakeClock())
    assert not outbox.wanted
    outbox.put(Event(0.0, "engine.held", "error", "chat", {"reason": "x", "cause": "y"}))
    assert not outbox.waiting


async def test_notices_with_an_address_that_cannot_be_read_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(f'[notify]\nwebhook_url_file = "{tmp_path}/missing"\n').notify
    outbox = Outbox()
    await send_notices(settings, outbox, FakeClock())
    assert not outbox.wanted
    assert "missing" in capsys.readouterr().out


async def test_engines_that_run_and_are_not_configured_are_named(tmp_path: Path) -> None:
    pids = {}
    for name in ("chat", "old", "ended", "empty"):
        folder = tmp_path / "engines" / name
        folder.mkdir(parents=True)
        if name != "empty":
            shim = FakeShim(spec(folder, ["x"]))
            await shim.listen()
            pids[name] = shim.run["shim_pid"]
            if name == "ended":  # killed: its socket lies there
                shim.run["shim_start_ticks"] += 1
                write_record(str(folder / RUN_RECORD_NAME), shim.run)
    assert unconfigured(tmp_path, {"chat": None}) == {"old": pids["old"]}
    with structlog.testing.capture_logs() as logs:
        report_unconfigured(tmp_path, {"chat": None})
    assert [(line["event"], line["engine"]) for line in logs] == [("engine.unconfigured", "old")]
    assert f"'kill {pids['old']}'" in logs[0]["advice"]
    assert unconfigured(tmp_path / "missing", {}) == {}
    folder = tmp_path / "weights" / "kept"
    folder.mkdir(parents=True)
    weights = FakeShim(spec(folder, ["x"]))
    await weights.listen()
    found = unconfigured(tmp_path, {"chat": None})
    assert found == {"old": pids["old"], "weights of kept": weights.run["shim_pid"]}


def test_notices_that_come_before_the_webhook_works_are_kept_for_it() -> None:
    """A daemon that ended badly, or a file that cannot be used, is told when the next begins."""
    outbox = Outbox()
    expect_notices(config('[notify]\nwebhook_url = "http://127.0.0.1:9/"\n').notify, outbox)
    outbox.put(Event(0.0, "daemon.recovered", "error", None, {"how": "lost", "problem": "x"}))
    assert [notice.alert for notice in outbox.waiting] == ["VllmdDaemonFailed"]
    nobody = Outbox()
    expect_notices(config("").notify, nobody)
    nobody.put(Event(0.0, "daemon.recovered", "error", None, {"how": "lost", "problem": "x"}))
    assert not nobody.waiting
