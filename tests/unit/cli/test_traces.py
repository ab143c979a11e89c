import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.helpers.control import FakeTraces, control_socket
from tests.helpers.otlp import span
from vllmd.cli.traces import RANKS, command
from vllmd.traces.aggregate import Aggregate
from vllmd.traces.slowest import Slowest


def windows(*, ended: bool = False, problem: str | None = None) -> dict[str, Any]:
    slowest, aggregate = Slowest(), Aggregate()
    for engine, first in (("chat", 0.25), ("code", 1.5)):
        request = aggregate.add(engine, span(time_to_first_token=first), frozenset())
        assert request is not None
        slowest.add(request, 1_700_000_000.0)
    if ended:
        slowest.end(1_700_000_060.0)
    current, last = slowest.current(), slowest.last
    return {
        "window_s": 60,
        "problem": problem,
        "current": current.to_json() if current else None,
        "last": last.to_json() if last else None,
    }


def run(folder: Path, shown: dict[str, Any] | None, *arguments: str) -> Result:
    with control_socket(folder / "c.sock", traces=FakeTraces(shown)) as path:
        return CliRunner().invoke(command, ["--socket", str(path), *arguments])


def test_each_of_the_slowest_is_shown_once_with_its_rankings(tmp_path: Path) -> None:
    result = run(tmp_path, windows())
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len([line for line in lines if "40+10" in line and "1.50s" in line]) == 1
    assert lines[2].endswith("SLOWEST BY")
    assert "ttft, tpot, queue, total" in result.output


def test_slowest_on_a_narrow_terminal_leave_out_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.cli.terminal.width", lambda: 80)
    shown = run(tmp_path, windows()).output
    assert max(map(len, shown.splitlines())) <= 80
    assert "TRACE" not in shown


def test_each_ranking_is_a_table(tmp_path: Path) -> None:
    each = [word for rank in RANKS for word in ("--by", rank)]
    result = run(tmp_path, windows(), *each)
    assert result.exit_code == 0, result.output
    assert "2 sequences in" in result.output
    assert "under way" in result.output
    for title in ("time to first token", "time per output token", "time in the queue"):
        assert f"slowest by {title}" in result.output
    lines = result.output.splitlines()
    first = lines.index("slowest by time to first token")
    assert lines[first + 2].startswith("1.50s")
    assert lines[first + 3].startswith("250.0ms")
    assert "40+10" in lines[first + 2]


def test_a_ranking_and_an_engine_can_be_picked(tmp_path: Path) -> None:
    result = run(tmp_path, windows(), "chat", "--by", "ttft")
    assert "250.0ms" in result.output
    assert "1.50s" not in result.output
    assert "queue" not in result.output.replace("QUEUE", "")


def test_the_last_window_is_shown_where_nothing_came_since(tmp_path: Path) -> None:
    result = run(tmp_path, windows(ended=True))
    assert "in 1m, ended" in result.output


def test_nothing_yet_says_what_to_look_at(tmp_path: Path) -> None:
    result = run(tmp_path, None, "--last")
    assert "no request has finished yet; vllmd check" in result.output


def test_a_receiver_that_is_down_is_said(tmp_path: Path) -> None:
    result = run(tmp_path, windows(problem="127.0.0.1:4318 is in use"))
    assert "spans are not received: 127.0.0.1:4318 is in use" in result.stderr


def test_json_is_what_the_daemon_tells(tmp_path: Path) -> None:
    shown = windows()
    assert json.loads(run(tmp_path, shown, "--json").stdout) == shown
