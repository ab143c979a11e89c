"""The history after power cuts, damage and restarts of the daemon."""

import contextlib
import json
import os
import signal
import sqlite3
import time
from typing import Any

from tests.helpers.outcomes import Outcome
from tests.helpers.site import Site, wait_for
from vllmd.history.store import NAME
from vllmd.shim import proc


def events(chat: Site, *more: str) -> list[dict[str, Any]]:
    answer = chat.vllmd("events", "--json", "-c", str(chat.config), *more)
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def cut_the_power(chat: Site) -> None:
    """End everything of the site at once, as a power cut does."""
    chat.daemon.send_signal(signal.SIGSTOP)  # so that it starts nothing while we kill the rest
    shim = chat_shim(chat)
    for pid in (shim, *(stat.pid for stat in proc.descendants(shim)), chat.daemon.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    chat.daemon.wait()


def chat_shim(chat: Site) -> int:
    record = json.loads((chat.folder / "run" / "engines" / "chat" / "run.json").read_text())
    return int(record["shim_pid"])


def kill_core(chat: Site) -> None:
    before = chat.engine("chat")
    os.kill(chat.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
    chat.wait_new_run("chat", before, 30)


def test_power_cut_loses_nothing_older_than_a_second(chat: Site, outcome: Outcome) -> None:
    kill_core(chat)
    time.sleep(1.0)
    before = events(chat)
    cut_the_power(chat)
    chat.start()
    chat.wait_state("chat", "ready")
    after = events(chat)
    assert after[: len(before)] == before
    gap = next(e for e in after if e["name"] == "history.interrupted")
    assert gap["fields"]["last_event_at"] >= before[-1]["at"]
    assert "history.incomplete" not in [e["name"] for e in after]
    assert "vllmd itself was killed" in " ".join(chat.vllmd("why", "chat").stdout.split())
    outcome("power cut (kill -9 of everything at once)", "the history is whole; the gap is named")


def test_power_cut_with_a_truncated_log_says_what_is_missing(chat: Site, outcome: Outcome) -> None:
    kill_core(chat)
    time.sleep(1.0)
    before = events(chat)
    cut_the_power(chat)
    log = chat.folder / "state" / f"{NAME}-wal"
    os.truncate(log, log.stat().st_size // 2)
    chat.start()
    chat.wait_state("chat", "ready")
    after = events(chat)
    lost = next(e for e in after if e["name"] == "history.incomplete")
    kept = [e for e in before if e in after]
    assert kept == before[: len(kept)]
    assert lost["fields"]["missing"] == len(before) - len(kept) > 0
    outcome(
        "power cut with half of the SQLite log lost",
        f"{len(kept)} events kept in order, {lost['fields']['missing']} said to be missing",
    )


def test_damaged_history_is_set_aside_and_touches_no_engine(chat: Site, outcome: Outcome) -> None:
    before = chat.engine("chat")
    chat.kill_daemon()
    path = chat.folder / "state" / NAME
    path.write_bytes(b"\0garbage" * 4096)
    (chat.folder / "state" / f"{NAME}-wal").write_bytes(b"more garbage" * 100)
    chat.start()
    after = chat.wait_state("chat", "ready")
    assert after["run_id"] == before["run_id"]
    wait_for("the event", lambda: "history.set_aside" in chat.log())
    assert path.with_name(f"{NAME}.unusable").exists()
    assert "history.set_aside" in [e["name"] for e in events(chat)]
    assert "vllmd_history_up 1.0" in chat.metrics()
    outcome("the history's file is garbage", "set aside, a new one begun; the engine serves on")


def test_history_that_cannot_be_written_costs_the_history_only(chat: Site) -> None:
    """A directory in the place of the file: as good as a disk that refuses everything."""
    chat.stop()
    path = chat.folder / "state" / NAME
    path.unlink()
    path.mkdir()
    chat.start()
    chat.wait_state("chat", "ready")
    wait_for("the figure", lambda: "vllmd_history_up 0.0" in chat.metrics())
    assert "history.failed" in chat.log()
    refused = chat.vllmd("why", "chat")
    assert refused.returncode == 1
    assert "cannot be read" in refused.stderr
    path.rmdir()
    wait_for("the history", lambda: "vllmd_history_up 1.0" in chat.metrics())
    assert "daemon.started" in [e["name"] for e in events(chat)]


def test_counts_estimates_and_events_go_on_in_the_next_daemon(chat: Site) -> None:
    kill_core(chat)
    chat.stop()
    chat.start()
    engine = chat.wait_state("chat", "ready")
    assert engine["restarts"] == 1
    page = chat.metrics()
    assert 'vllmd_engine_exits_total{code="0",requested="false",vllmd_engine="chat"} 1.0' in page
    again = 'vllmd_engine_transitions_total{event="answered",state="ready",vllmd_engine="chat"} 3.0'
    assert again in page
    names = [e["name"] for e in events(chat)]
    assert names.count("daemon.started") == 2
    assert names.index("daemon.stopped") < len(names) - 1
    with contextlib.closing(sqlite3.connect(chat.folder / "state" / NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    loading = [e for e in events(chat, "chat") if e["name"] == "engine.phase_reached"]
    assert loading[-1]["fields"]["left_s"] is not None


def test_events_follow_across_a_restart_of_the_daemon(chat: Site) -> None:
    seen = events(chat, "--name", "daemon.*")
    assert [e["name"] for e in seen] == ["daemon.started"]
    chat.kill_daemon()
    assert events(chat, "--name", "daemon.*") == seen  # from the file
    chat.start()
    names = [e["name"] for e in events(chat, "--name", "daemon.*")]
    assert names == ["daemon.started", "daemon.recovered", "daemon.started"]
