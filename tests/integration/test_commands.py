"""The command line against a running daemon."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.site import VLLMD, Site, wait_for


def test_stop_lasts_across_the_daemon_until_start(chat: Site) -> None:
    result = chat.vllmd("stop", "chat")
    assert (result.returncode, result.stdout) == (0, "chat: stopped\n")
    assert chat.ready("chat") == 503
    chat.kill_daemon()
    chat.start()
    assert chat.engine("chat")["state"] == "stopped"
    chat.stop()
    chat.start()
    assert chat.engine("chat")["state"] == "stopped"
    result = chat.vllmd("start", "chat", "--wait", "--timeout", "30")
    assert (result.returncode, result.stdout) == (0, "chat: ready\n")
    assert chat.ready("chat") == 200


def test_restart_gives_a_new_run_without_counting_a_crash(chat: Site) -> None:
    before = chat.engine("chat")
    result = chat.vllmd("restart", "chat", "--wait", "--timeout", "30")
    assert result.returncode == 0, result.stderr
    after = chat.engine("chat")
    assert after["run_id"] != before["run_id"]
    assert after["restarts"] == 0
    assert after["exits"] == [{"code": "0", "requested": True, "count": 1}]


def test_status_is_readable_and_json(chat: Site) -> None:
    assert "chat" in chat.vllmd("status").stdout
    shown = json.loads(chat.vllmd("status", "--json").stdout)
    assert shown["engines"][0]["url"] == chat.api


def test_logs_shows_what_the_engine_printed(chat: Site) -> None:
    result = chat.vllmd("logs", "chat", "-n", "2")
    assert "Application startup complete." in result.stdout
    follower = subprocess.Popen(
        [
            str(VLLMD),
            "logs",
            "chat",
            "-f",
            "-n",
            "1",
            "--socket",
            str(chat.folder / "run/control.sock"),
        ],
        stdout=subprocess.PIPE,
    )
    assert follower.stdout is not None
    os.set_blocking(follower.stdout.fileno(), False)
    try:
        wait_for("the last line", follower.stdout.read)
        chat.vllmd("restart", "chat")
        wait_for("a new line", lambda: b"version 0.32.0" in (follower.stdout.read() or b""))  # type: ignore[union-attr]
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130


def test_unknown_engine_and_no_daemon_have_their_exit_codes(chat: Site, tmp_path: Path) -> None:
    result = chat.vllmd("stop", "caht")
    assert result.returncode == 66
    assert "there is: chat" in result.stderr
    result = chat.vllmd("status", "--socket", str(tmp_path / "none"))
    assert result.returncode == 69


def test_second_daemon_on_the_same_folder_is_refused(chat: Site) -> None:
    result = chat.vllmd("run", "--config", str(chat.config))
    assert result.returncode == 73
    assert f"pid {chat.daemon.pid}" in result.stderr
    assert chat.engine("chat")["state"] == "ready"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody without rights")
def test_user_without_rights_may_look_but_not_act(chat: Site) -> None:
    for path in (chat.folder, *chat.folder.parents[:2]):
        path.chmod(path.stat().st_mode | 0o001)  # pytest makes its folders for their owner only
    code = (
        "import os, sys, vllmd.cli.stop, vllmd.cli.status, vllmd.cli.logs, vllmd.config.rules;"
        "from vllmd.cli.main import main;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); main(sys.argv[1:])"
    )
    socket = str(chat.folder / "run" / "control.sock")

    def as_nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["/usr/bin/env", "-i", sys.executable, "-c", code, *arguments, "--socket", socket]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = as_nobody("stop", "chat")
    assert refused.returncode == 77, refused.stderr
    assert "user nobody may not stop an engine: be root, or join the group vllmd" in refused.stderr
    assert as_nobody("status").returncode == 0
    assert as_nobody("logs", "chat").returncode == 77
    assert chat.engine("chat")["state"] == "ready"
