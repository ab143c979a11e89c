"""How a daemon ends, what the next one says of it, and what must not end it."""

import json
import signal
from typing import Any

import pytest

from tests.helpers.outcomes import Outcome
from tests.helpers.site import Site


def of_the_daemon(chat: Site) -> list[dict[str, Any]]:
    answer = chat.vllmd("events", "--json", "-c", str(chat.config), "--name", "daemon.*")
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def unexpected_ends(chat: Site) -> float:
    return chat.samples("vllmd_daemon_unexpected_ends_total")[()]


def test_daemon_that_was_killed_is_told_by_the_next_and_counted(
    chat: Site, outcome: Outcome
) -> None:
    before = chat.engine("chat")
    assert unexpected_ends(chat) == 0
    chat.kill_daemon()
    chat.start()
    chat.wait_state("chat", "ready")
    (recovered,) = [e for e in of_the_daemon(chat) if e["name"] == "daemon.recovered"]
    assert (recovered["level"], recovered["fields"]["how"]) == ("error", "lost")
    assert "it was killed" in recovered["fields"]["problem"]
    assert unexpected_ends(chat) == 1
    assert chat.engine("chat")["pid"] == before["pid"]
    outcome("daemon killed", "the next one says so and counts it; the engine serves on")


def test_daemon_that_was_stopped_is_told_from_one_that_was_killed(chat: Site) -> None:
    assert chat.stop(signal.SIGINT) == 0
    chat.start()
    names = [event["name"] for event in of_the_daemon(chat)]
    assert names.count("daemon.stopped") == 1
    assert "daemon.recovered" not in names
    assert unexpected_ends(chat) == 0


@pytest.mark.parametrize("to", ["2>/dev/full", "2> >(exec true)"])
def test_log_that_cannot_be_written_ends_nothing(chat: Site, to: str) -> None:
    """The disk of the log is full, or its terminal is gone."""
    chat.kill_daemon()
    chat.under = ("bash", "-c", f'exec "$@" {to}', "bash")
    chat.start()
    engine = chat.wait_state("chat", "ready")
    assert chat.chat("tiny")
    answer = chat.vllmd("restart", "chat")
    assert answer.returncode == 0, answer.stderr
    chat.wait_new_run("chat", engine, 30)
    assert chat.samples("vllmd_part_failures_total")["log",] > 0
    assert [e for e in of_the_daemon(chat) if e["name"] == "daemon.started"]
