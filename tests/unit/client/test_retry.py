from collections.abc import Callable

import pytest

from tests.helpers.providers import Provider
from vllmd.client.retry import Refusal, RetryPolicy


class PassingError(Exception):
    pass


class Time:
    """A clock that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def patience(self, ready_url: str | None = None, wait_s: float = 10.0) -> RetryPolicy:
        return RetryPolicy(wait_s, ready_url, self.sleep, lambda: self.now)


def failing(times: int) -> Callable[[], str]:
    left = [PassingError()] * times

    def ask() -> str:
        if left:
            raise left.pop()
        return "done"

    return ask


def test_it_tries_again_with_growing_pauses() -> None:
    time = Time()
    done = time.patience().call(failing(4), PassingError, lambda _: Refusal())
    assert (done, time.slept) == ("done", [0.25, 0.5, 1.0, 2.0])


def test_it_comes_again_when_it_is_told_to() -> None:
    time = Time()
    refusals = iter([Refusal({"retry-after": "3"}), Refusal({"retry-after": "soon"})])
    time.patience().call(failing(2), PassingError, lambda _: next(refusals))
    assert time.slept == [3.0, 0.5]


def test_it_gives_up_in_time_and_at_once_for_what_does_not_pass() -> None:
    time = Time()
    with pytest.raises(PassingError):
        time.patience().call(failing(99), PassingError, lambda _: Refusal())
    assert time.now == pytest.approx(10.0)
    with pytest.raises(PassingError):
        Time().patience().call(failing(1), PassingError, lambda _: None)


@pytest.mark.long
def test_it_waits_while_the_engine_says_that_it_is_not_ready(server: Provider) -> None:
    time = Time()
    server.ready = 503

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if time.now > 3:
            server.ready = 200

    patience = RetryPolicy(10.0, f"{server.url}/ready", sleep, lambda: time.now)
    assert patience.call(failing(1), PassingError, lambda _: Refusal()) == "done"
    assert time.now > 3


def test_a_readiness_that_does_not_answer_is_not_waited_for() -> None:
    time = Time()
    patience = time.patience("http://127.0.0.1:9/ready")
    assert patience.call(failing(1), PassingError, lambda _: Refusal()) == "done"
    assert time.slept == [0.25]
