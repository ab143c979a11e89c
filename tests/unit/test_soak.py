"""The harness of `make soak`: whose doing a lost request is, and what grows."""

import math

import pytest

from tests.chaos.client import Client, Outcome
from tests.chaos.host_of_soak import whose
from tests.chaos.soak import by_time, counted, slopes
from tests.helpers.site import is_back


@pytest.mark.parametrize(
    ("what", "told", "who"),
    [
        ("timed out", [], "the host"),
        ("timed out", ["engine.progressed", "engine.state_changed"], "the host"),
        ("timed out", ["engine.stalled", "engine.exited"], "vllmd"),
        ("timed out", ["engine.held"], "vllmd"),
        ("refused", [], "vllmd"),
        ("cut", [], "vllmd"),
        ("HTTP 500", ["engine.progressed"], "vllmd"),
    ],
)
def test_lost_request_is_of_the_host_only_if_its_engine_went_on(
    what: str, told: list[str], who: str
) -> None:
    assert whose(what, told) == who


@pytest.mark.parametrize(
    ("state", "run", "back"),
    [("ready", "b", True), ("ready", "a", False), ("ready", None, False), ("loading", "b", False)],
)
def test_engine_is_back_with_another_run_only(state: str, run: str | None, back: bool) -> None:
    """One whose run had just ended was taken for back: what it lost then was said to be ours."""
    assert is_back({"state": state, "run_id": run}, {"run_id": "a"}) is back


def test_request_ends_when_it_has_been_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken to end as it began: of one in flight at a fault, nobody knew whose it was."""
    now = [5.0]

    def answered(*_: object) -> str:
        now[0] += 3.0
        return "cut"

    client = Client(1, "m")
    monkeypatch.setattr(client, "_become", answered)
    monkeypatch.setattr("tests.chaos.client.time.monotonic", lambda: now[0])
    assert client.ask(2) == Outcome(5.0, 8.0, "cut")


def test_lost_requests_are_counted_by_engine_and_reason() -> None:
    lost = [{"engine": "e1", "what": "cut"}, {"engine": "e1", "what": "cut"}]
    assert counted(lost) == {"e1: cut": 2}


def test_slopes_are_of_a_minute() -> None:
    samples = [{"at": 60.0 * n, "late": False, "pss_mb": 60 + 0.5 * n} for n in range(4)]
    assert slopes(samples) == {"pss_mb": 0.5}
    assert math.isnan(slopes(samples[:2])["pss_mb"])
    assert slopes([]) == {}


def test_figure_is_told_for_each_ten_minutes() -> None:
    samples = [{"at": 60.0 * n + 7, "pss_mb": 60 + n} for n in range(25)]
    assert by_time(samples, "pss_mb") == [64.5, 74.5, 82]
