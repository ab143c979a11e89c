"""How an engine is brought into each state, and where it goes from there if nothing is done."""

import os
import signal
import threading
from collections.abc import Callable
from types import MappingProxyType

from tests.chaos.client import OK, Client
from tests.chaos.lab import CHAT, LOAD_S, Lab
from tests.helpers.site import wait_for

LONG_LOAD_S = "3"
LONG_TOKENS = 600
"""Tokens of the request that is in flight at a stop: some 4 s."""
WALL = "ValueError: LoRA rank 32 is greater than max_lora_rank 16."
COMES_TO = MappingProxyType(
    {
        "starting": "ready",
        "loading": "ready",
        "ready": "ready",
        "draining": "stopped",
        "stopping": "stopped",
        "backoff": "ready",
        "held": "held",
        "sleeping": "sleeping",
    }
)
"""Where an engine in this state is, once nothing changes any more."""
STATES = tuple(COMES_TO)
RUNS = frozenset({"loading", "ready", "draining", "stopping", "sleeping"})
"""States in which there are processes of the engine."""
ENDS = frozenset({"draining", "stopping"})
"""States in which it was asked to end."""


class InFlight(threading.Thread):
    """One long request, and what became of it."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self._client = client
        self.what = ""

    def run(self) -> None:
        self.what = self._client.ask(LONG_TOKENS, 30).what

    @property
    def ok(self) -> bool:
        self.join(30)
        return self.what == OK


def bring(lab: Lab, state: str) -> InFlight | None:
    """Bring a serving engine into a state; returns the request that is in flight, if one is.

    Raises: AssertionError: it did not get there.
    """
    return _WAYS[state](lab)


def _ready(lab: Lab) -> None:
    lab.wait_states("ready")


def _loading(lab: Lab) -> None:
    lab.say("load_s", LONG_LOAD_S)
    lab.site.control.act(CHAT, "restart")
    lab.wait_states("loading")
    wait_for("the core", lambda: lab.process("core"))


def _starting(lab: Lab) -> None:
    lab.say("slow-spawn", "")
    lab.site.control.act(CHAT, "restart")
    lab.wait_states("starting")
    wait_for("its shim", lambda: lab.process("shim"))


def _stop(lab: Lab) -> InFlight:
    lab.chat.hush()
    request = InFlight(lab.chat)
    request.start()
    wait_for("a request in flight", lambda: lab.engine().get("busy"))
    lab.site.control.act(CHAT, "stop")
    return request


def _draining(lab: Lab) -> InFlight:
    request = _stop(lab)
    lab.wait_states("draining")
    return request


def _stopping(lab: Lab) -> None:
    lab.chat.hush()  # with a request in flight it drains until it ends
    lab.say("slow-end", "")
    lab.site.control.act(CHAT, "stop")
    lab.wait_states("stopping")


def _backoff(lab: Lab) -> None:
    api = lab.process("api")
    assert api, "nothing to kill"
    os.kill(api.pid, signal.SIGKILL)
    lab.wait_states("backoff")


def _held(lab: Lab) -> None:
    lab.say("wall", WALL)
    lab.site.control.act(CHAT, "restart")
    lab.wait_states("held")


def _sleeping(lab: Lab) -> None:
    lab.chat.hush()
    lab.site.control.act(CHAT, "sleep")
    lab.wait_states("sleeping")


_WAYS: dict[str, Callable[[Lab], InFlight | None]] = {
    "starting": _starting,
    "loading": _loading,
    "ready": _ready,
    "draining": _draining,
    "stopping": _stopping,
    "backoff": _backoff,
    "held": _held,
    "sleeping": _sleeping,
}


def heal(lab: Lab) -> None:
    """Bring the engine back to serving, whatever it was in. Raises: AssertionError: it is not."""
    lab.unsay("wall", "page", "slow-spawn", "slow-end")
    lab.say("load_s", LOAD_S)
    state = str(lab.wait_states(*STATES, "stopped", "unreachable", "stalled")["state"])
    if state == "sleeping":
        lab.site.control.act(CHAT, "wake")
    elif state in ("held", "stopped", "draining", "stopping"):
        lab.site.control.act(CHAT, "start")
    lab.chat.speak()
    try:
        lab.wait_states("ready", limit_s=30)
    except AssertionError:
        lab.site.control.act(CHAT, "start")  # a wake that failed leaves it asleep
        raise
    wait_for("an answer", lambda: lab.chat.ask(2).what == OK, 60)
