"""What load balancers and a kubelet ask: do the engines serve, and has their start got anywhere?"""

import math
from collections.abc import Sequence

from starlette.responses import PlainTextResponse, Response

from vllmd.engine.loading.phases import PHASES
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus

COME_AGAIN_S = 2
"""After so many seconds at least, if it is not known how long a start still takes."""
_NAMES = [name for name, _ in PHASES]
_UNDER_WAY = frozenset(_NAMES[_NAMES.index("download") :])
"""Phases of a load that only time keeps from its end: arguments, model and GPU were accepted."""
_NOT_STARTED = frozenset({State.STOPPED, State.STARTING, State.BACKOFF, State.HELD})


def ready(engines: Sequence[EngineStatus]) -> Response:
    """Answer 200 if all of the engines serve, else 503, why, and when to come again."""
    lines = "".join(f"{each.name}: {_state(each)}\n" for each in engines)
    text = lines or "no engine is meant to run\n"
    if all(engine.takes_requests for engine in engines):
        return PlainTextResponse(text)
    left_s = max((e.start_left_s or 0.0 for e in engines if not e.up), default=0.0)
    headers = {"retry-after": str(max(COME_AGAIN_S, math.ceil(left_s)))}
    return PlainTextResponse(text, status_code=503, headers=headers)


def started(engines: Sequence[EngineStatus]) -> Response:
    """Answer 200 once the start of each engine has got so far that it needs time only, else 503.

    A load then takes as long as it takes: whether it goes on is looked at by the daemon.
    """
    found = {engine.name: _under_way(engine) for engine in engines}
    lines = "".join(
        f"{each.name}: {_state(each)}{f' ({each.phase})' if each.phase else ''}"
        f"{'' if found[each.name] else ', not started'}\n"
        for each in engines
    )
    code = 200 if all(found.values()) else 503
    return PlainTextResponse(lines or "no engine is meant to run\n", status_code=code)


def _state(engine: EngineStatus) -> str:
    if not engine.looked_for:
        return "not known yet"
    if engine.is_over:
        return "ended, it is looked into why"
    if engine.state is State.SLEEPING:
        return f"{engine.state} ('vllmd wake {engine.name}' wakes it)"
    if engine.up and engine.wrong_answers is not None:
        return f"{engine.state}, answers wrong ('vllmd probe {engine.name}' shows what differs)"
    return str(engine.state)


def _under_way(engine: EngineStatus) -> bool:
    if not engine.looked_for:
        return False
    if engine.awaited_load:
        return True  # of the one that loads first this is asked too
    if engine.state is State.LOADING and engine.group is None:
        return engine.phase in _UNDER_WAY
    # a part of a group that waits for other hosts, before its start or in the midst of it, needs
    # time only: whoever ends it for that keeps the others waiting
    return engine.state not in _NOT_STARTED
