from typing import Any

import pytest

from vllmd.engine.status_text import describe_log_problem, describe_state, describe_weights


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": "loading", "phase": "weights"}, "loading (weights)"),
        (
            {"state": "loading", "phase": "weights", "start_left_s": 40.2},
            "loading (weights, 40s left)",
        ),
        (
            {"state": "draining", "requests_running": 2, "requests_waiting": 1},
            "draining (3 requests left)",
        ),
        (
            {"state": "draining", "requests_running": None},
            "draining (requests not known)",
        ),
        ({"state": "ready", "requests_running": 2, "requests_waiting": 0}, "ready (busy)"),
        ({"state": "ready", "requests_running": 0, "requests_waiting": 0}, "ready"),
        (
            {"state": "ready", "requests_running": 1, "no_step_s": 40.3},
            "ready (busy, no step for 40s)",
        ),
        ({"state": "ready", "requests_running": 2, "up": False}, "ready (takes no requests)"),
        ({"state": "held"}, "held"),
        ({"state": "stopped", "awaited_memory": {"gpu": "0"}}, "stopped (waits for GPU memory)"),
        ({"state": "stopped", "awaited_load": "embed"}, "stopped (waits for its turn)"),
        (
            {"state": "backoff", "wanted": True, "weights": {"state": "loading"}},
            "backoff (its weights load)",
        ),
        ({"state": "stopped", "wanted": True, "weights": {"state": "absent"}}, "stopped"),
        (
            {"state": "ready", "requests_running": 2, "adapters": {"wanted": 3, "loaded": 2}},
            "ready (2 of 3 adapters)",
        ),
        ({"state": "ready", "adapters": {"wanted": 3, "loaded": 3}}, "ready"),
        ({"state": "ready", "adapters": None}, "ready"),
    ],
)
def test_describe_state(more: dict[str, Any], words: str) -> None:
    assert describe_state({"phase": None, **more}) == words


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": "absent"}, "not in GPU memory"),
        ({"state": "loading", "ranks_ready": 1}, "loading, 1 of 2 complete"),
        (
            {"state": "ready", "ranks_ready": 2, "pid": 7, "shim_pid": 6},
            "kept in GPU memory (2 of 2): a start maps them, process 7 (its shim 6)",
        ),
        (
            {"state": "incomplete", "ranks_ready": 1},
            "1 of 2 kept: loaded anew at the next start",
        ),
        ({"state": "ending"}, "given up now"),
        (
            {"state": "ready", "kept": True},
            "kept in GPU memory (2 of 2): a start maps them, kept although the engine is stopped",
        ),
        ({"state": "absent", "kept": True}, "not in GPU memory"),
    ],
)
def test_describe_weights(more: dict[str, Any], words: str) -> None:
    weights = {"ranks": 2, "ranks_ready": 0, "pid": None, "shim_pid": None, "kept": False, **more}
    assert describe_weights(weights) == words


def test_describe_log_problem_says_where_to_make_room() -> None:
    words = describe_log_problem("No space left on device", "/var/log/vllmd/chat.log")
    assert "No space left on device" in words
    assert "'df -h /var/log/vllmd'" in words
