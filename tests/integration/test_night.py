"""A night of twelve failures: after each, `vllmd why` says what a person has to know."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.flight import Flight
from tests.helpers.make import DATA
from tests.helpers.outcomes import outcome_for
from tests.helpers.ports import free_port
from tests.helpers.site import Site, site, wait_for
from tests.integration.conftest import config_for
from vllmd.shim import proc

LOGS = DATA / "engine-logs"
DISPATCH = """#!/bin/sh
test -f {mode} && . {mode}
exec {python} -m vllmd.demo "$@"
"""


class Night:
    """An engine whose program prints what a real vLLM printed when it failed, if it is told to."""

    def __init__(self, made: Site, mode: Path) -> None:
        self.made = made
        self._mode = mode

    def fails_to_start(self, script: str) -> None:
        """Restart the engine into a program that does this instead of serving."""
        self._mode.write_text(script)
        assert self.made.vllmd("restart", "chat").returncode == 0

    def prints(self, log: str, code: int = 1) -> None:
        self.fails_to_start(f"cat {LOGS / log}; exit {code}\n")

    def mended(self) -> None:
        self._mode.unlink(missing_ok=True)
        assert self.made.vllmd("start", "chat").returncode == 0
        self.made.wait_state("chat", "ready")

    def kill(self, title: str) -> None:
        before = self.made.engine("chat")
        os.kill(self.made.process("chat", title).pid, signal.SIGKILL)
        self.made.wait_new_run("chat", before, 30)

    def why(self) -> str:
        answer = self.made.vllmd("why", "chat", "-c", str(self.made.config))
        assert answer.returncode == 0, answer.stderr
        return " ".join(answer.stdout.split())


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    program, mode = folder / "vllm", folder / "mode"
    program.write_text(DISPATCH.format(mode=mode, python=sys.executable))
    program.chmod(0o755)
    exporter, api = free_port(), free_port()
    text = config_for(folder, exporter, api).replace('"stand-in"', f'"{program}"')
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        made.wait_state("chat", "ready")
        yield Night(made, mode)


def core_killed(night: Night) -> None:
    night.kill("VLLM::EngineCore")


def server_killed(night: Night) -> None:
    before = night.made.engine("chat")
    os.kill(before["pid"], signal.SIGKILL)
    night.made.wait_new_run("chat", before, 30)


def shim_killed(night: Night) -> None:
    before = night.made.engine("chat")
    os.kill(before["shim_pid"], signal.SIGKILL)
    night.made.wait_new_run("chat", before, 30)


def core_hangs(night: Night) -> None:
    made, before = night.made, night.made.engine("chat")
    with Flight(made):
        os.kill(made.process("chat", "VLLM::EngineCore").pid, signal.SIGSTOP)
        made.wait_new_run("chat", before, 40)


def everything_killed(night: Night) -> None:
    made, before = night.made, night.made.engine("chat")
    made.kill_daemon()
    for pid in (before["shim_pid"], *(s.pid for s in proc.descendants(before["shim_pid"]))):
        os.kill(pid, signal.SIGKILL)
    made.start()
    made.wait_new_run("chat", before, 30)


def recorded(log: str, code: int = 1) -> Callable[[Night], None]:
    def fail(night: Night) -> None:
        night.prints(log, code)
        night.made.wait_state("chat", "held", 60)

    return fail


def memory_held(night: Night) -> None:
    night.prints("h200-0.25-gpu-memory-held-by-orphan.log")
    wait_for("a failure", lambda: night.made.engine("chat")["causes"].get("vram_held"))
    night.mended()


def load_stands_still(night: Night) -> None:
    night.fails_to_start("echo 'Starting to load model org/model...'; exec sleep 600\n")
    wait_for("a failure", lambda: night.made.engine("chat")["causes"].get("load_stalled"), 40)
    night.mended()


SERVES = ("serves again since",)
HELD = ("is not started again until that is fixed",)
NIGHT: list[tuple[str, Callable[[Night], None], str, tuple[str, ...]]] = [
    ("EngineCore is killed", core_killed, "engine_core_died", ("exited with code 0", *SERVES)),
    ("the API server is killed", server_killed, "killed", ("ended by SIGKILL", *SERVES)),
    ("the shim is killed", shim_killed, "shim_lost", SERVES),
    ("EngineCore hangs with work", core_hangs, "stalled", ("made no progress", *SERVES)),
    ("all is killed at once", everything_killed, "shim_lost", ("vllmd itself was killed", *SERVES)),
    ("an adapter's rank", recorded("cpu-0.32-lora-rank-too-high.log"), "lora_rank", HELD),
    ("the context", recorded("cpu-0.32-max-model-len-too-long.log"), "context_too_long", HELD),
    ("a wrong flag", recorded("cpu-0.32-unknown-flag.log", 2), "unknown_flag", HELD),
    ("a wrong model", recorded("cpu-0.32-model-not-found.log"), "model_not_found", HELD),
    ("the KV cache", recorded("h200-0.25-kv-cache-too-small.log"), "kv_cache_too_small", HELD),
    ("VRAM held by an orphan", memory_held, "vram_held", SERVES),
    ("the load stands still", load_stands_still, "load_stalled", SERVES),
]


def test_night_of_twelve_failures_is_told_one_by_one(
    night: Night, request: pytest.FixtureRequest
) -> None:
    assert len(NIGHT) == 12
    folder = str(night.made.folder / "state")
    for fault, happens, cause, words in NIGHT:
        began = time.time()
        happens(night)
        said = night.why()
        found = json.loads(night.made.vllmd("why", "chat", "--json").stdout)[0]
        assert found["cause"] == cause
        for part in (found["why"], *found["evidence"], found["done"], *found["next"]):
            assert " ".join(part.split()) in said
        assert found["at"] >= began - 1, fault
        for part in ("Why ", "Done ", "Next ", "chat failed ", *words):
            assert part in said, (fault, said)
        assert found["evidence"] or cause in ("killed", "shim_lost"), fault
        assert (Path(found["incident"]) / "reason.json").exists()
        outcome_for("why", request)(fault, _public(found["text"], folder))
        night.mended()
    told = night.made.vllmd("events", "chat", "--name", "engine.exited", "--json").stdout
    failed = [e for e in map(json.loads, told.splitlines()) if not e["fields"]["requested"]]
    assert {e["fields"]["cause"] for e in failed} == {cause for _, _, cause, _ in NIGHT}


def _public(said: str, folder: str) -> str:
    """Put the package's paths in the place of this machine's."""
    said = said.replace(folder, "/var/lib/vllmd").replace(sys.executable, "/usr/bin/python3")
    assert str(Path(sys.executable).parents[2]) not in said
    return said
