from typing import Any

import pytest

from vllmd.engine.status_text import describe_log_problem, describe_state


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
        ({"state": "held"}, "held"),
        ({"state": "stopped", "awaited_memory": {"gpu": "0"}}, "stopped (waits for GPU memory)"),
        ({"state": "stopped", "awaited_load": "embed"}, "stopped (waits for its turn)"),
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


def test_describe_log_problem_says_where_to_make_room() -> None:
    words = describe_log_problem("No space left on device", "/var/log/vllmd/chat.log")
    assert "No space left on device" in words
    assert "'df -h /var/log/vllmd'" in words
