"""A configuration that is read again while engines serve."""

import json
import os
import signal
import time

import pytest

from tests.helpers.outcomes import Outcome
from tests.helpers.site import Load, Site, free_port, gone, wait_for
from tests.integration.conftest import config_for
from vllmd.shim import proc


def edit(chat: Site, old: str, new: str) -> None:
    text = chat.config.read_text()
    assert old in text
    chat.config.write_text(text.replace(old, new))


def gauge(chat: Site, name: str) -> float:
    (line,) = [each for each in chat.metrics().splitlines() if each.startswith(f"{name} ")]
    return float(line.split()[1])


def test_broken_file_changes_nothing_and_says_why(chat: Site, outcome: Outcome) -> None:
    wait_for("its page", lambda: chat.engine("chat")["requests_running"] is not None)
    before = chat.engine("chat")
    good_at = gauge(chat, "vllmd_config_last_reload_success_timestamp_seconds")
    good = chat.config.read_text()
    edit(chat, "drain_s", "darin_s")
    refused = chat.vllmd("reload")
    assert refused.returncode == 78
    assert 'did you mean "drain_s"?' in refused.stderr
    assert gauge(chat, "vllmd_config_last_reload_successful") == 0
    assert gauge(chat, "vllmd_config_last_reload_success_timestamp_seconds") == good_at
    assert "the last reload was refused, nothing changed" in chat.vllmd("status").stdout
    assert chat.engine("chat") == before
    chat.daemon.send_signal(signal.SIGHUP)  # the same, asked for by a signal
    wait_for("the refusal", lambda: chat.log().count("config.refused") == 2)
    chat.config.write_text(good)
    mended = chat.vllmd("reload")
    assert (mended.returncode, mended.stdout) == (0, "nothing changed\n")
    assert gauge(chat, "vllmd_config_last_reload_successful") == 1
    assert gauge(chat, "vllmd_config_last_reload_success_timestamp_seconds") > good_at
    assert chat.engine("chat")["run_id"] == before["run_id"]
    outcome("reload of a broken file", "nothing changed, the mistake shown, exit code 78")


def test_good_file_holds_at_once_where_it_can_and_lists_the_rest(
    chat: Site, outcome: Outcome
) -> None:
    before = chat.engine("chat")
    edit(chat, "hang_s = 5", "hang_s = 50")
    edit(chat, "poll_s = 0.5", "poll_s = 0.4")
    with Load(chat) as load:
        assert "chat: in force now: liveness.hang_s" in chat.vllmd("reload").stdout
        edit(chat, 'model = "org/model"', 'model = "org/model"\nmax_model_len = 2048')
        answer = chat.vllmd("reload", "--json")
        assert json.loads(answer.stdout)["restart"] == {"chat": ["max_model_len"]}
        after = chat.wait_state("chat", "ready")
        time.sleep(0.3)
    assert load.failed == []
    assert (after["run_id"], after["command_changed"]) == (before["run_id"], True)
    assert "'vllmd restart chat' brings the new one" in chat.vllmd("status").stdout
    applied = chat.vllmd("reload", "--apply", "--wait", "--timeout", "60")
    assert applied.returncode == 0, applied.stderr
    assert "chat: is being restarted with: what an earlier reload changed" in applied.stdout
    now = chat.engine("chat")
    assert now["run_id"] != before["run_id"]
    assert (now["command_changed"], now["restarts"]) == (False, 0)
    outcome(
        "reload under load",
        f"{load.served} requests, {len(load.failed)} failed; limits hold at once, flags wait",
    )


def test_apply_touches_only_the_engines_concerned(chat: Site) -> None:
    before, old = chat.engine("chat"), list(chat.tree("chat").values())
    engine = config_for(chat.folder, 0, free_port()).partition("[engines.chat]")[2]
    chat.config.write_text(
        chat.config.read_text()
        + f"[engines.embed]{engine.replace('engines.chat', 'engines.embed')}"
    )
    assert "embed: new, is being started" in chat.vllmd("reload").stdout
    embed = chat.wait_state("embed", "ready")
    assert chat.engine("chat")["run_id"] == before["run_id"]
    text = chat.config.read_text()
    chat.config.write_text(
        text[: text.index("[engines.chat]")] + text[text.index("[engines.embed]") :]
    )
    plain = chat.vllmd("reload").stdout
    assert "chat: not configured any more; it runs on" in plain
    assert not gone(*old)
    chat.config.write_text(text)
    chat.vllmd("reload")
    chat.wait_state("chat", "ready")
    chat.config.write_text(
        text[: text.index("[engines.chat]")] + text[text.index("[engines.embed]") :]
    )
    assert "chat: not configured any more, was stopped" in chat.vllmd("reload", "--apply").stdout
    assert gone(*old)
    assert chat.wait_state("embed", "ready")["run_id"] == embed["run_id"]


def test_reload_asked_for_twice_at_once_is_one_daemon(chat: Site) -> None:
    for _ in range(5):
        os.kill(chat.daemon.pid, signal.SIGHUP)
    wait_for("the next daemon", lambda: chat.log().count("daemon.started") > 1)
    assert chat.wait_state("chat", "ready")["adopted"] is True
    assert chat.vllmd("reload").returncode == 0
    assert chat.daemon.poll() is None


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1])
def test_stop_in_the_middle_of_a_reload_stops_the_engine_too(chat: Site, delay_s: float) -> None:
    shim = chat.engine("chat")["shim_pid"]
    chat.daemon.send_signal(signal.SIGHUP)
    time.sleep(delay_s)
    assert chat.stop() == 0
    assert proc.read_stat(shim) is None


@pytest.mark.parametrize("pause_s", [0.0, 0.12, 0.25, 0.4])
def test_ctrl_c_in_the_middle_of_a_reload_ends_it_in_order(chat: Site, pause_s: float) -> None:
    """Between two event loops a signal would have its default effect."""
    old = list(chat.tree("chat").values())
    chat.daemon.send_signal(signal.SIGHUP)
    time.sleep(pause_s)
    assert chat.stop() == 0
    assert gone(*old)
