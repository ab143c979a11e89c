"""Loopback addresses or namespaces as hosts: each has a vllmd of its own, on the same ports."""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.helpers.hosts import Hosts
from tests.helpers.outcomes import outcome_for

Fault = Callable[[Hosts, str], contextlib.AbstractContextManager[None]]


@pytest.fixture
def noted(request: pytest.FixtureRequest) -> Fault:
    """Note how long it took, with clients all the while, and how many of their requests were lost.

    Used as ``with noted(made, "a member is killed"):`` around a fault and the wait for its end.
    """
    real = request.node.path.name == "test_real.py"
    note = outcome_for("several-hosts-vllm-0.32-cpu" if real else "several-hosts", request)

    @contextlib.contextmanager
    def noting(made: Hosts, fault: str) -> Iterator[None]:
        began = time.monotonic()
        with made.head.clients() as found:
            time.sleep(1)
            yield
            took_s = time.monotonic() - began - 1
        lost = f"{found['lost']} of {found['asked']} requests lost"
        note(f"{fault} ({len(made.all)} hosts, `{made.mode}`)", f"{took_s:.0f} s, {lost}")

    return noting
