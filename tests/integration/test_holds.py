"""Walls: an engine that cannot start is held with the fix named, and starts once it is mended."""

import os
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.site import Site, site, wait_for
from tests.integration.conftest import config_for

LORA = "ValueError: LoRA rank 32 is greater than max_lora_rank 16."
HUB = (
    "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='huggingface.co', port=443): "
    "Read timed out. (read timeout=10)"
)
FATAL = f"""\
ERROR 11-29 12:00:00 [core.py:710] EngineCore encountered a fatal error.
ERROR 11-29 12:00:00 [core.py:710] Traceback (most recent call last):
ERROR 11-29 12:00:00 [core.py:710]   File "/opt/vllm/v1/engine/core.py", line 701, in run
ERROR 11-29 12:00:00 [core.py:710] {LORA}
"""


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class Broken:
    """A site whose engine's program is a script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vllm = folder / "vllm"
        self.exporter, self.api = free_port(), free_port()

    def config(self, executable: str | None = None) -> str:
        text = config_for(self.folder, self.exporter, self.api)
        return text.replace('"stand-in"', f'"{executable or self.vllm}"')

    def site(self, config: str) -> AbstractContextManager[Site]:
        return site(self.folder, config, exporter_port=self.exporter, api_port=self.api)


@pytest.fixture
def broken(tmp_path: Path) -> Broken:
    return Broken(tmp_path)


def test_wrong_configuration_is_held_until_it_is_mended(broken: Broken, outcome: Outcome) -> None:
    program(broken.vllm, f'echo "{LORA}" >&2; exit 1')
    with broken.site(broken.config()) as made:
        held = made.wait_state("chat", "held")
        assert held["hold"]["cause"] == "lora_rank"
        assert "Set lora.max_lora_rank = 32" in held["hold"]["reason"]
        assert held["exits"] == [{"code": "1", "requested": False, "count": 1}]
        shown = made.vllmd("status").stdout
        assert "chat: held for" in shown
        assert "Set lora.max_lora_rank = 32" in shown
        page = made.metrics()
        assert 'vllmd_engine_hold_seconds{cause="lora_rank",vllmd_engine="chat"}' in page
        again = made.vllmd("start", "chat", "--wait", "--timeout", "20")
        assert again.returncode == 65
        assert "Set lora.max_lora_rank = 32" in again.stderr
        made.kill_daemon()
        made.start()
        assert made.wait_state("chat", "held")["exits"][0]["count"] == 2
        made.config.write_text(broken.config("stand-in"))
        os.kill(made.daemon.pid, signal.SIGHUP)
        after = made.wait_state("chat", "ready")
        assert after["hold"] is None
        outcome(
            "a cause that is configuration (a LoRA rank too high)",
            "held at once with the fix named, across a daemon's death; serving after the reload",
        )


def test_missing_program_is_held_until_it_is_there(broken: Broken, outcome: Outcome) -> None:
    with broken.site(broken.config()) as made:
        held = made.wait_state("chat", "held")
        assert (held["hold"]["cause"], held["hold"]["fine"]) == ("program_missing", False)
        began = time.monotonic()
        program(broken.vllm, "exec sleep 60")
        wait_for("a start", lambda: made.engine("chat")["state"] == "loading", 40)
        outcome(
            "the engine's program is missing",
            f"held; started by itself {time.monotonic() - began:.0f} s after it was there",
        )


def test_transient_failures_are_tried_again_and_then_held(broken: Broken, outcome: Outcome) -> None:
    program(broken.vllm, f'echo "{HUB}" >&2; exit 1')
    config = broken.config().replace(
        "initial_s = 0.2, max_s = 1", "initial_s = 0.1, max_s = 0.2, max_failures = 5"
    )
    with broken.site(config) as made:
        held = made.wait_state("chat", "held", 60)
        assert held["exits"] == [{"code": "1", "requested": False, "count": 5}]
        assert held["restarts"] == 4
        assert "the first: hub_unreachable" in held["hold"]["reason"]
        outcome("five transient failures in a row (max_failures = 5)", "four restarts, then held")


def test_engine_that_served_with_this_command_is_not_held_first(
    broken: Broken, outcome: Outcome
) -> None:
    """The same words, printed by an engine that was ready before: another start comes first."""
    with broken.site(broken.config("stand-in")) as made:
        before = made.wait_state("chat", "ready")
        log = broken.folder / "log" / "chat.log"
        with log.open("a") as file:
            file.write(FATAL)
        os.kill(made.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
        after = made.wait_new_run("chat", before, 30)
        assert after["last_exit"]["diagnosis"]["cause"] == "lora_rank"
        outcome(
            "the same cause in an engine that was ready with this very command",
            "started again, not held",
        )


def test_counts_survive_the_daemon_and_a_garbled_file_is_set_aside(chat: Site) -> None:
    before = chat.engine("chat")
    os.kill(before["pid"], signal.SIGKILL)
    chat.wait_new_run("chat", before, 30)
    chat.kill_daemon()
    chat.start()
    assert chat.wait_state("chat", "ready")["restarts"] == 1
    assert 'vllmd_engine_failures_total{cause="killed",vllmd_engine="chat"} 1.0' in chat.metrics()
    chat.kill_daemon()
    state = chat.folder / "state" / "engines" / "chat.json"
    state.write_bytes(state.read_bytes()[:40])
    chat.start()
    engine = chat.wait_state("chat", "ready")
    assert (engine["restarts"], engine["adopted"]) == (0, True)
    assert "state_file.unreadable" in chat.log()
