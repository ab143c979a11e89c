"""Requests in flight at a real vLLM, its processes stopped, and the daemon throttled."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import httpx
import openai

from tests.helpers.site import Site, gone

FIRST_TOKEN_S = 300.0
"""A limit for a test that hangs."""
TOKENS = 3000
"""The tiny model makes about a thousand a second for each sequence that runs."""


class Flight:
    """One request for several answers, in flight in the background, answered or not."""

    def __init__(self, made: Site, answers: int = 4) -> None:
        """Send it, and return when its first token has come."""
        self.tokens: int | None = None
        self.error: Exception | None = None
        self.ended_at = 0.0
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(made, answers))
        self._thread.start()
        assert self._begun.wait(FIRST_TOKEN_S), "no token came"
        assert self._thread.is_alive(), (self.error, self.tokens)

    def _ask(self, made: Site, answers: int) -> None:
        try:
            for part in made.client().completions.create(
                model="tiny",
                prompt="The quick brown fox",
                max_tokens=TOKENS,
                n=answers,
                temperature=1,
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"ignore_eos": True},
            ):
                self._begun.set()
                self.tokens = part.usage.completion_tokens if part.usage else None
        except (openai.OpenAIError, httpx.HTTPError) as error:
            self.error = error
        self.ended_at = time.monotonic()
        self._begun.set()

    def join(self) -> None:
        self._thread.join()


@contextlib.contextmanager
def frozen(made: Site, title: str) -> Iterator[None]:
    """Stop a process; it is killed with its tree, or goes on at the end."""
    stat = made.process("tiny", title)
    os.kill(stat.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if not gone(stat):
            os.kill(stat.pid, signal.SIGCONT)


@contextlib.contextmanager
def throttled(made: Site, stop_s: float, run_s: float) -> Iterator[None]:
    """Stop the daemon for `stop_s` and let it run for `run_s`, in turn, to the end."""
    pid, done = made.daemon.pid, threading.Event()

    def throttle() -> None:
        while not done.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(stop_s)
            os.kill(pid, signal.SIGCONT)
            time.sleep(run_s)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
