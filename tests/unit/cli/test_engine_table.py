from typing import Any

import attrs
import pytest

from tests.helpers.make import status
from vllmd.cli import engine_table, terminal
from vllmd.cli.engine_table import gibibytes, latency, lines, number, share
from vllmd.engine.exits import Exit
from vllmd.engine.state_machine import State
from vllmd.util.units import GIB

NOW = 1_000_600.0
LOADED = {
    "tokens_per_s": 1840.2,
    "ttft_p95_s": 0.42,
    "itl_p95_s": 0.0123,
    "kv_cache_usage": 0.71,
    "gpu_memory_bytes": 71.5 * GIB,
    "restart_margin_bytes": 5.7 * GIB,
    "vllm_version": "0.32.0",
    "adapters": {"wanted": 2, "loaded": 1},
}


def engine(name: str = "chat", more: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {**status(name, **fields).to_json(), **(more or {})}


def busy() -> dict[str, Any]:
    killed = Exit("SIGKILL", requested=False, at=NOW - 60, run_id="r")
    return engine("chat", LOADED, requests_running=12, requests_waiting=3, last_exit=killed)


def plain(line: str) -> str:
    return terminal._CODE.sub("", line)


def test_lines_at_eighty_columns_have_what_is_wanted_first() -> None:
    header, row = (plain(line).split() for line in lines([busy()], NOW, 80))
    wanted = ("ENGINE", "STATE", "FOR", "RUN/WAIT", "TOK/S", "TTFT95", "KV", "VRAM", "MARGIN")
    assert header == [*wanted, "RESTARTS"]
    shown = ("chat", "ready", "1m", "40s", "12/3", "1,840", "420ms", "71%", "71.5G", "+5.7G", "0")
    assert row == [*shown]


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 140])
def test_columns_stay_where_they_are_while_figures_and_times_grow(columns: int) -> None:
    killed = Exit("SIGKILL", requested=False, at=NOW - 60, run_id="r")
    grown = {**LOADED, "kv_cache_usage": 1.0, "restart_margin_bytes": -11.5 * GIB}
    small = {**LOADED, "kv_cache_usage": 0.0, "gpu_memory_bytes": 0, "itl_p95_s": None}
    headers = set()
    for ago, more, running in ((9, small, 0), (10, LOADED, 12), (3599, grown, 120)):
        shown = engine(
            "chat",
            more,
            since=NOW - ago,
            last_exit=attrs.evolve(killed, at=NOW - ago),
            requests_running=running,
            requests_waiting=3,
        )
        headers.add(plain(next(lines([shown], NOW, columns))))
    assert len(headers) == 1


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 120, 140, 200])
def test_lines_are_as_wide_as_the_terminal_at_most(columns: int) -> None:
    least = len("ENGINE STATE     FOR RESTARTS")
    assert all(len(plain(each)) <= max(columns, least) for each in lines([busy()], NOW, columns))


def test_lines_at_140_columns_have_the_rest_and_in_a_pipe_all_of_it() -> None:
    wide, pipe = (plain(next(iter(lines([busy()], NOW, c)))).split() for c in (140, None))
    assert {"ITL95", "EXIT", "ADAPTERS", "VLLM", "MODEL"} <= set(wide)
    assert {*wide, "PID", "API"} == set(pipe)


def test_lines_of_an_older_daemon_have_a_dash_for_what_it_does_not_say() -> None:
    row = plain(list(lines([engine(since=NOW - 5)], NOW, 80))[1])
    assert row.split() == ["chat", "ready", "5s", *"------", "0"]


def test_lines_of_an_engine_that_was_not_looked_for_say_so() -> None:
    row = plain(list(lines([engine(state=State.STOPPED, looked_for=False)], NOW, 80))[1])
    assert "not known yet" in row


def test_a_name_that_draws_is_shown_as_one_line() -> None:
    served = engine(served_names=("a\nb",))
    assert all("\n" not in line for line in lines([served], NOW, None))


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (latency(None), "-"),
        (latency(0.0421), "42ms"),
        (latency(1.254), "1.25s"),
        (latency(80.2), "80s"),
        (gibibytes(None), "-"),
        (gibibytes(-3 * GIB, sign="+"), "-3.0G"),
        (number(1840.2), "1,840"),
        (share(0.705), "70%"),
    ],
)
def test_figures_are_short(made: str, shown: str) -> None:
    assert made == shown


def test_every_column_but_the_first_ones_can_be_left_out() -> None:
    ranks = [column.rank for column in engine_table.FOR_TERMINAL]
    assert ranks.count(0) == 4
    assert len({rank for rank in ranks if rank}) == len(ranks) - 4


def test_engine_that_is_ready_and_takes_no_requests_is_no_green_one() -> None:
    """Its run has just ended, or its group is red; what else is ready is green."""
    assert engine_table.colour(engine()) == "green"
    assert engine_table.colour(engine(is_over=True)) == "red"
    assert engine_table.colour(engine(state=State.LOADING)) == "yellow"
