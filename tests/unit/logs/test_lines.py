from pathlib import Path

import pytest

from vllmd.logs.lines import Line, parse_line
from vllmd.shim.counted import level_of

DATA = Path(__file__).parents[2] / "data" / "engine-logs"


@pytest.mark.parametrize(
    ("text", "process", "level"),
    [
        ("(APIServer pid=30575) INFO 11-23 18:48:58 [model.py:733] x", "APIServer", "info"),
        ("(EngineCore pid=1) ERROR 11-23 18:48:58 [core.py:1] x", "EngineCore", "error"),
        ("(Worker_TP1 pid=1) WARNING 11-23 18:48:58 [a.py:1]", "Worker_TP1", "warning"),
        ("(APIServer pid=1) INFO:     127.0.0.1:1 - 'GET /' 200", "APIServer", "info"),
        ("(EngineCore pid=1) Traceback (most recent call last):", "EngineCore", "none"),
        ("[W1123 18:49:17.7 utils.cpp:68] Warning: NUMA", None, "warning"),
        ("WARNING 11-23 18:48:58 [a.py:1] early", None, "warning"),
        ("Triton is installed, INFO 11-23", None, "none"),
        ("INFORMATION", None, "none"),
        ("", None, "none"),
    ],
)
def test_parse_line_knows_process_and_level(text: str, process: str | None, level: str) -> None:
    line = parse_line(text, 5.0)
    assert (line.process, line.level, line.text, line.at) == (process, level, text, 5.0)
    assert level_of(text) == level


def test_parse_line_pid_is_a_number() -> None:
    assert parse_line("(APIServer pid=30575) INFO 11-23").pid == 30575


def test_to_json_is_utf_8_whatever_was_printed() -> None:
    text = b"odd \xff".decode(errors="surrogateescape")
    assert Line(None, None, None, "none", text).to_json("chat")["text"] == "odd \ufffd"
