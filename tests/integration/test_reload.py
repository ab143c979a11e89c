"""A configuration that is read again while engines serve; a daemon that starts again."""

import json
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.readiness import Watched
from tests.helpers.site import Load, Site, gone, running, sweep, wait_for
from tests.integration.conftest import config_for, serving
from vllmd.shim import proc


def edit(chat: Site, old: str, new: str) -> None:
    text = chat.config.read_text()
    assert old in text
    chat.config.write_text(text.replace(old, new))


def gauge(chat: Site, name: str) -> float:
    (line,) = [each for each in chat.metrics().splitlines() if each.startswith(f"{name} ")]
    return float(line.split()[1])


OF_THE_MOMENT = {"reason", "vllm_version", "tokens_per_s", "prompt_tokens_per_s"}


def lasting(engine: dict[str, Any]) -> dict[str, Any]:
    """Return a status without what changes by itself: load, and sentences that have an age."""
    return {key: value for key, value in engine.items() if key not in OF_THE_MOMENT}


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
    assert lasting(chat.engine("chat")) == lasting(before)
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
    shim = chat.engine("chat")["shim_pid"]
    plain = chat.vllmd("reload").stdout
    assert f"chat: not configured any more; it runs on, not supervised: 'kill {shim}'" in (plain)
    assert "chat runs and is not configured" in chat.vllmd("status").stdout
    assert not gone(*old)
    chat.config.write_text(text)
    chat.vllmd("reload")
    assert chat.wait_state("chat", "ready")["since"] == before["since"]
    chat.config.write_text(
        text[: text.index("[engines.chat]")] + text[text.index("[engines.embed]") :]
    )
    assert "chat: not configured any more, was stopped" in chat.vllmd("reload", "--apply").stdout
    assert gone(*old)
    assert chat.wait_state("embed", "ready")["run_id"] == embed["run_id"]


def test_reload_asked_for_five_times_at_once_is_one_daemon(chat: Site) -> None:
    before = chat.engine("chat")
    for _ in range(5):
        os.kill(chat.daemon.pid, signal.SIGHUP)
    wait_for("a reload", lambda: "config.reloaded" in chat.log())
    assert chat.vllmd("reload").returncode == 0
    after = chat.engine("chat")
    assert (after["state"], after["since"], after["adopted"]) == ("ready", before["since"], False)
    assert chat.log().count("daemon.started") == 1
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


# --- what others see -----------------------------------------------------------------------------

TWO = ("chat", "embed")
PATHS = ("/ready/chat", "/ready/embed", "/-/ready", "/metrics")
FIGURES = re.compile(
    r"^(vllmd_engine_(?:transitions_total|state_change_timestamp_seconds|start_duration_seconds|"
    r"restarts_total)\{.*\}|vllmd_log_lines_total\{.*\}) (\S+)$",
    re.MULTILINE,
)


def table(chat: Site, name: str, port: int) -> str:
    engine = config_for(chat.folder, 0, port, lora="").partition("[engines.chat]")[2]
    return f"[engines.{name}]{engine.replace('engines.chat', f'engines.{name}')}"


def told(chat: Site, since: int) -> Counter[str]:
    """Return the events that the daemon logged from a place in its log on."""
    return Counter(re.findall(r"\b([a-z_]+\.[a-z_]+)\b(?= )", chat.log()[since:]))


def reloaded(chat: Site, since: int, times: int) -> bool:
    return told(chat, since)["config.reloaded"] == times


def has_page(chat: Site, name: str) -> bool:
    return chat.engine(name)["requests_running"] is not None


@pytest.fixture(params=["foreground", "handed over"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Two engines that serve; the exporter's socket is the daemon's own, or a service manager's."""
    exporter, api = free_port(), free_port()
    made = Site(tmp_path, config_for(tmp_path, exporter, api), exporter_port=exporter, api_port=api)
    made.config.write_text(made.config.read_text() + table(made, "embed", free_port()))
    if request.param == "handed over":
        made.held = socket.create_server(("127.0.0.1", exporter), backlog=512)
    with running(made):
        for name in TWO:
            made.wait_state(name, "ready")
            wait_for("its page", partial(has_page, made, name))
        yield made
        if made.held is not None:
            made.held.close()
            made.daemon.terminate()  # a service leaves its engines
            made.daemon.wait(60)
            sweep(made.folder)


def known(made: Site) -> list[tuple[Any, ...]]:
    keys = ("name", "state", "since", "run_id", "phases", "sizes", "start_duration_s", "adopted")
    return [tuple(str(e[k]) for k in keys) for e in made.control.status()["engines"]]


def test_ten_reloads_are_seen_by_nobody(pair: Site, outcome: Outcome) -> None:
    before, up = known(pair), pair.control.status()["daemon"]["started_at"]
    figures = dict(FIGURES.findall(pair.metrics()))
    mark = len(pair.log())
    with Watched(pair.exporter, PATHS) as watched:
        for number in range(3):
            assert pair.vllmd("reload").stdout == "nothing changed\n"
            edit(pair, f"hang_s = {5 + number}", f"hang_s = {6 + number}")  # it holds at once
            assert "liveness.hang_s" in pair.vllmd("reload", "--apply").stdout
            pair.daemon.send_signal(signal.SIGHUP)
            wait_for("a reload by a signal", partial(reloaded, pair, mark, 3 * number + 3))
        text = pair.config.read_text()
        pair.config.write_text(text + table(pair, "third", free_port()))
        assert "third: new" in pair.vllmd("reload").stdout
        assert known(pair)[:2] == before
        pair.config.write_text(text)
        assert "third: not configured any more" in pair.vllmd("reload", "--apply").stdout
    assert watched.wrong == {} or set(watched.wrong) == {"/-/ready"}  # red while a third one loads
    assert known(pair) == before
    assert pair.control.status()["daemon"]["started_at"] == up
    now = {k: v for k, v in FIGURES.findall(pair.metrics()) if k in figures}
    counted = {k for k in figures if k.startswith("vllmd_log_lines")}  # they are read every 2 s
    assert all(float(now[k]) >= float(figures[k]) for k in counted)
    assert {k: v for k, v in now.items() if k not in counted} == {
        k: v for k, v in figures.items() if k not in counted
    }
    seen = told(pair, mark)
    assert seen["config.reloaded"] == 11
    log = pair.log()[mark:]
    assert not seen.keys() & {"daemon.started", "daemon.stopped", "engine.adopted", "part.failed"}
    assert not re.search(r"(state_changed|phase_reached).*engine=(chat|embed)", log)
    outcome(
        "reload, asked for eleven times",
        f"{sum(c.total() for c in watched.answers.values())} checks of readiness and scrapes, "
        "all answered with 200",
    )


@pytest.mark.parametrize("pair", ["handed over"], indirect=True)
def test_restarts_of_the_daemon_are_not_told_as_stops(pair: Site, outcome: Outcome) -> None:
    before = [each[:-1] for each in known(pair)]
    mark = len(pair.log())
    with Watched(pair.exporter, PATHS) as orderly:
        for _ in range(2):
            pair.daemon.terminate()
            pair.daemon.wait(60)
            pair.start()
            time.sleep(0.2)
    with Watched(pair.exporter, PATHS) as killed:
        for _ in range(2):
            pair.kill_daemon()
            pair.start()
            time.sleep(0.2)
    assert orderly.wrong == {}
    # what a daemon had accepted dies with it; nothing is refused, and nobody is told a lie
    answers = {what for counts in killed.answers.values() for what in counts}
    assert answers - {"ConnectionResetError", "RemoteDisconnected", "IncompleteRead"} == {200}
    assert [each[:-1] for each in known(pair)] == before
    seen = told(pair, mark)
    assert (seen["daemon.started"], seen["engine.adopted"]) == (4, 8)
    assert not seen.keys() & {"engine.state_changed", "engine.phase_reached", "part.failed"}
    outcome(
        "restart of the daemon under systemd's socket",
        "no scrape refused, no engine called stopped",
    )


def test_another_port_in_the_file_hurts_no_engine_that_serves(chat: Site) -> None:
    """It answers on its old port until it is restarted, for the next daemon too."""
    before, api = chat.engine("chat"), free_port()
    edit(chat, f"port = {chat.api.rpartition(':')[2]}", f"port = {api}")
    assert json.loads(chat.vllmd("reload", "--json").stdout)["restart"] == {"chat": ["port"]}
    for _ in range(2):
        time.sleep(1.5)
        now = chat.engine("chat")
        assert (now["state"], now["url"], now["run_id"]) == ("ready", chat.api, before["run_id"])
        chat.kill_daemon()
        chat.start()
    assert chat.vllmd("restart", "chat", "--wait").returncode == 0
    now = chat.engine("chat")
    assert (now["url"], now["command_changed"]) == (f"http://127.0.0.1:{api}", False)


def test_engine_that_was_started_by_hand_outlives_a_restart_of_the_daemon(chat: Site) -> None:
    edit(chat, 'model = "org/model"', 'model = "org/model"\nautostart = false')
    before = chat.engine("chat")
    chat.vllmd("reload")
    chat.kill_daemon()
    chat.start()
    time.sleep(1)
    now = chat.engine("chat")
    assert (now["state"], now["run_id"], now["wanted"]) == ("ready", before["run_id"], True)


def test_reload_during_a_drain_lets_it_go_on(tmp_path: Path) -> None:
    with serving(tmp_path, unready_s=4) as chat:
        before = chat.engine("chat")
        chat.vllmd("restart", "chat")
        draining = chat.wait_state("chat", "draining")
        assert chat.vllmd("reload").stdout == "nothing changed\n"
        now = chat.engine("chat")
        assert (now["state"], now["since"]) == ("draining", draining["since"])
        after = chat.wait_new_run("chat", before, 60)
        assert (after["restarts"], after["last_exit"]["requested"]) == (0, True)


def test_pause_after_a_failure_outlives_a_reload(tmp_path: Path) -> None:
    exporter, api = free_port(), free_port()
    text = config_for(tmp_path, exporter, api).replace(
        "initial_s = 0.2, max_s = 1", "initial_s = 60"
    )
    made = Site(tmp_path, text, exporter_port=exporter, api_port=api)
    with running(made):
        made.wait_state("chat", "ready")
        os.kill(made.engine("chat")["pid"], signal.SIGKILL)
        made.wait_state("chat", "backoff")
        wait_for("its pause", lambda: made.engine("chat")["next_start_at"])
        before = made.engine("chat")
        edit(made, "hang_s = 5", "hang_s = 50")
        made.vllmd("reload")
        assert lasting(made.engine("chat")) == lasting(before)
        edit(made, 'model = "org/model"', 'model = "org/model"\nmax_model_len = 2048')
        made.vllmd("reload")  # another command is worth another start
        made.wait_state("chat", "ready")
