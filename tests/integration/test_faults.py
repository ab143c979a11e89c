"""Each fault of docs on the stand-in: serving again, nothing left behind, the cause known."""

import os
import shutil
import signal
import time

import httpx
import pytest

from tests.helpers.outcomes import Outcome
from tests.helpers.site import Load, Site, gone, wait_for
from vllmd.shim import proc


def test_kill_of_the_api_server_serves_again_and_leaves_no_orphan(
    chat: Site, outcome: Outcome
) -> None:
    before, old = chat.engine("chat"), list(chat.tree("chat").values())
    core = chat.process("chat", "VLLM::EngineCore")
    os.kill(before["pid"], signal.SIGKILL)
    after = chat.wait_new_run("chat", before, 30)
    assert gone(*old)
    assert after["restarts"] == 1
    assert after["last_exit"]["label"] == "SIGKILL"
    assert after["last_exit"]["killed"] == [f"VLLM::EngineCore (pid {core.pid})"]
    assert chat.chat("tiny")
    outcome("kill -9 of the API server", "cause killed; its EngineCore killed too; serving again")


def test_kill_of_the_engine_core_exit_0_is_a_crash(chat: Site, outcome: Outcome) -> None:
    before, old = chat.engine("chat"), list(chat.tree("chat").values())
    os.kill(chat.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
    after = chat.wait_new_run("chat", before, 30)
    assert gone(*old)
    assert after["exits"] == [{"code": "0", "requested": False, "count": 1}]
    assert after["last_exit"]["diagnosis"]["cause"] == "engine_core_died"
    assert chat.chat("sql")
    outcome("kill -9 of the EngineCore", "exit code 0, cause engine_core_died, serving again")


def test_kill_of_the_daemon_fails_no_request_and_the_next_one_goes_on(
    chat: Site, outcome: Outcome
) -> None:
    before = chat.engine("chat")
    with Load(chat) as load:
        time.sleep(0.5)
        chat.kill_daemon()
        time.sleep(0.5)
        chat.start()
        after = chat.wait_state("chat", "ready")
    assert load.failed == []
    assert load.served > 3
    assert after["adopted"] is True
    assert (after["pid"], after["run_id"]) == (before["pid"], before["run_id"])
    assert after["command_changed"] is False
    assert 'vllmd_engine_adopted{vllmd_engine="chat"} 1.0' in chat.metrics()
    outcome(
        "kill -9 of the daemon under load",
        f"{load.served} requests, {len(load.failed)} failed; the next daemon adopts the engine",
    )


def test_engine_that_died_without_a_daemon_is_known_and_restarted(
    chat: Site, outcome: Outcome
) -> None:
    before = chat.engine("chat")
    chat.kill_daemon()
    os.kill(chat_core(before), signal.SIGKILL)
    wait_for("the shim's end", lambda: proc.read_stat(before["shim_pid"]) is None)
    chat.start()
    after = chat.wait_new_run("chat", before, 30)
    assert after["exits"] == [{"code": "0", "requested": False, "count": 1}]
    assert after["last_exit"]["diagnosis"]["cause"] == "engine_core_died"
    outcome("the engine dies while no daemon runs", "seen, its cause named, started again")


def chat_core(engine: dict[str, int]) -> int:
    (core,) = [
        s.pid
        for s in proc.descendants(engine["shim_pid"])
        if proc.command_line(s.pid) == "VLLM::EngineCore"
    ]
    return core


def test_kill_of_the_shim_ends_its_tree_and_restarts(chat: Site, outcome: Outcome) -> None:
    before, old = chat.engine("chat"), list(chat.tree("chat").values())
    os.kill(before["shim_pid"], signal.SIGKILL)
    after = chat.wait_new_run("chat", before, 30)
    assert gone(*old)
    assert after["last_exit"]["label"] == "shim_lost"
    assert chat.chat("tiny")
    outcome("kill -9 of the shim", "its tree found and ended, cause shim_lost, serving again")


def test_kill_of_daemon_and_shim_leaves_an_orphan_that_the_next_daemon_ends(
    chat: Site, outcome: Outcome
) -> None:
    before, old = chat.engine("chat"), list(chat.tree("chat").values())
    chat.kill_daemon()
    os.kill(before["shim_pid"], signal.SIGKILL)
    time.sleep(0.3)
    assert not gone(*old)
    chat.start()
    chat.wait_new_run("chat", before, 30)
    assert gone(*old)
    outcome("kill -9 of daemon and shim", "the orphan ended by the next daemon, serving again")


@pytest.mark.parametrize("removed", ["run/engines/chat", "run/engines", "run"])
def test_folder_that_is_removed_while_it_serves_is_put_back_for_the_next_daemon(
    chat: Site, outcome: Outcome, removed: str
) -> None:
    before, tree = chat.engine("chat"), list(chat.tree("chat").values())
    # in one step: its shim puts it back while its files are removed one by one
    shutil.move(chat.folder / removed, chat.folder / "removed")
    chat.kill_daemon()
    chat.start()
    after = chat.wait_state("chat", "ready")
    assert [after[key] for key in ("run_id", "shim_pid")] == [
        before[key] for key in ("run_id", "shim_pid")
    ]
    assert chat.chat("tiny")
    result = chat.vllmd("stop", "chat", "--timeout", "60")
    assert result.returncode == 0, result.stderr
    assert gone(*tree)
    outcome("its folder in run_dir, or all of run_dir, is removed", "found again; no second engine")


def test_folder_that_its_shim_does_not_put_back_is_said_and_no_second_engine_begins(
    chat: Site,
) -> None:
    before = chat.engine("chat")
    shim_pid = before["shim_pid"]
    chat.kill_daemon()
    shutil.rmtree(chat.folder / "run")
    os.kill(shim_pid, signal.SIGSTOP)  # one of an older version ignores that it is asked
    chat.start()
    wait_for("the sentence", lambda: f"kill {shim_pid}" in str(chat.engine("chat")["problem"]))
    assert chat.chat("tiny")
    os.kill(shim_pid, signal.SIGCONT)
    after = chat.wait_state("chat", "ready")
    assert after["run_id"] == before["run_id"]


def test_hang_of_the_core_keeps_health_green_as_vllm_does(chat: Site) -> None:
    core = chat.process("chat", "VLLM::EngineCore")
    os.kill(core.pid, signal.SIGSTOP)
    assert httpx.get(f"{chat.api}/health", trust_env=False).status_code == 200
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{chat.api}/v1/chat/completions", json=body, timeout=1.0, trust_env=False)
    os.kill(core.pid, signal.SIGCONT)
    assert chat.chat("tiny")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_end_of_the_daemon_stops_everything(chat: Site, number: int) -> None:
    engine, old = chat.engine("chat"), list(chat.tree("chat").values())
    shim = proc.read_stat(engine["shim_pid"])
    assert shim is not None
    assert chat.stop(number) == 0
    assert gone(*old, shim)
    assert not (chat.folder / "run" / "control.sock").exists()
    assert list((chat.folder / "run" / "engines" / "chat").glob("*.sock")) == []


def test_engine_that_ignores_sigterm_is_killed_after_its_grace(
    chat: Site, outcome: Outcome
) -> None:
    """A stopped API server with a stopped core: nothing of it ends by itself."""
    old = list(chat.tree("chat").values())
    for stat in old:
        os.kill(stat.pid, signal.SIGSTOP)
    result = chat.vllmd("stop", "chat", "--timeout", "60")
    assert result.returncode == 0, result.stderr
    assert gone(*old)
    outcome("stop of an engine that ignores SIGTERM", "its tree killed after its grace")


def test_frozen_daemon_does_not_touch_the_engine(chat: Site) -> None:
    chat.daemon.send_signal(signal.SIGSTOP)
    assert chat.chat("tiny")
    chat.daemon.send_signal(signal.SIGCONT)
    assert chat.engine("chat")["state"] == "ready"
