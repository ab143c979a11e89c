import pytest

from vllmd.installing.progress import progress_bar


def test_each_step_is_a_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("vLLM") as report:
        report("uv", 0.0)
        report("vLLM 0.32.0", 0.1)
        report("vLLM 0.32.0", 0.5)
        report("installed", 1.0)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["  0%  uv", " 10%  vLLM 0.32.0", "100%  installed"]
    assert captured.out == ""
