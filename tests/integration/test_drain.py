"""The end of a serving engine: red first, drained, proven."""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import httpx

from tests.helpers.flight import Flight
from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.site import Site, gone, wait_for
from tests.integration.conftest import serving


def test_stop_is_red_first_and_lets_a_request_finish(tmp_path: Path, outcome: Outcome) -> None:
    with serving(tmp_path, unready_s=1, drain_s=60) as made:
        old = list(made.tree("chat").values())
        body = {"model": "tiny", "prompt": "x", "max_tokens": 3900, "stream": True}
        url = f"{made.api}/v1/completions"
        with httpx.stream("POST", url, json=body, timeout=60, trust_env=False) as held:
            assert held.status_code == 200  # the drain does not end before this does
            flight = Flight(made, tokens=800)  # four seconds
            stopping = threading.Thread(target=made.vllmd, args=("stop", "chat"))
            stopping.start()
            wait_for("draining", lambda: made.engine("chat")["state"] == "draining")
            assert made.ready("chat") == 503
            assert made.chat("tiny")  # red, and still served: whoever did not look loses nothing
            assert re.search(r"draining \([12] requests left\)", made.vllmd("status").stdout)
        flight.join()
        stopping.join()
        assert flight.status == 200
        assert made.engine("chat")["state"] == "stopped"
        assert gone(*old)
        log = made.log()
        assert re.search("requests_before=[12] requests_left=0", log)
        assert "event=engine.end_proven" in log
        outcome(
            "stop with a request in flight",
            "/ready red first, the request answered 200, then ended; nothing left",
        )


def test_stop_does_not_wait_longer_than_the_drain(tmp_path: Path) -> None:
    with serving(tmp_path) as made:
        flight = Flight(made, tokens=3900)  # twenty seconds
        began = time.monotonic()
        assert made.vllmd("stop", "chat").returncode == 0
        assert time.monotonic() - began < 5 + 5 + 5
        flight.join()
        assert flight.status == 500


def last_run(made: Site) -> str:
    return str(made.engine("chat")["last_exit"]["run_id"])


def test_end_names_what_has_the_port_and_the_start_says_so(chat: Site, outcome: Outcome) -> None:
    """A process of the engine's kind that vllmd does not know: named, not killed."""
    port = int(chat.api.rpartition(":")[2])
    before = chat.engine("chat")
    chat.vllmd("stop", "chat")
    with socket.create_server(("127.0.0.1", port)):
        chat.vllmd("start", "chat")
        wait_for(
            "a failure", lambda: chat.engine("chat")["last_exit"]["run_id"] != before["run_id"]
        )
        wait_for("its name", lambda: str(os.getpid()) in str(chat.engine("chat")["problem"]))
    chat.wait_state("chat", "ready", 60)
    outcome(
        "the port is taken by a foreign process",
        "its name and pid in the status, started again once the port was free; it was not touched",
    )


def test_shared_memory_of_a_killed_tree_is_removed(chat: Site, outcome: Outcome) -> None:
    before = chat.engine("chat")
    left = Path("/dev/shm") / f"psm_vllmd_{free_port()}"
    left.write_bytes(b"\0" * 4096)
    os.kill(before["shim_pid"], signal.SIGKILL)
    chat.wait_new_run("chat", before, 30)
    assert not left.exists()
    assert "engine.leftovers_removed" in chat.log()
    outcome("shared memory that a killed engine left", "removed before the next start")
