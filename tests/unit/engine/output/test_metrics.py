from tests.helpers.metrics import values
from vllmd.engine.output.engine_output import OutputFigures
from vllmd.engine.output.metrics import LogsCollector

FIGURES = OutputFigures("chat", {"info": 3}, {"info": 99}, 500, 1000, 12.5)


def test_collect_says_what_the_logs_hold() -> None:
    found = values(LogsCollector(lambda: [FIGURES], dict).collect())
    assert found == {
        ("vllmd_log_lines_total", "info", "chat"): 3,
        ("vllmd_log_bytes_total", "info", "chat"): 99,
        ("vllmd_log_used_bytes", "chat"): 500,
        ("vllmd_log_budget_bytes", "chat"): 1000,
        ("vllmd_log_last_line_timestamp_seconds", "chat"): 12.5,
    }


def test_collect_of_an_engine_that_runs_says_what_was_lost() -> None:
    running = OutputFigures("chat", {}, {}, 0, 0, None, 7, 70, 2, "No space left on device", 5)
    found = values(
        LogsCollector(lambda: [running], lambda: {"journal": {"chat": 4}, "stdout": {}}).collect()
    )
    assert found["vllmd_log_dropped_lines_total", "chat"] == 7
    assert found["vllmd_log_dropped_bytes_total", "chat"] == 70
    assert found["vllmd_log_cut_lines_total", "chat"] == 5
    assert found["vllmd_log_rotations_total", "chat"] == 2
    assert found["vllmd_log_writable", "chat"] == 0
    assert found["vllmd_log_journal_dropped_lines_total", "chat"] == 4
    assert ("vllmd_log_stdout_dropped_lines_total", "chat") not in found
    assert ("vllmd_log_last_line_timestamp_seconds", "chat") not in found
