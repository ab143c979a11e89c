"""How long a stop of all engines may take: what a container's runtime is to wait before it kills.

Engines end side by side, so the slowest one counts; what keeps an engine's weights (`preload`) is
ended after it. The parts that wait have their limits from here.
"""

from collections.abc import Iterable

from vllmd.config.group import is_member
from vllmd.config.model import EngineConfig

CLEANUP_S = 10.0
"""How long an end may take to show: the port, shared memory, the GPU's memory."""
WEIGHTS_GRACE_S = 10.0
"""How long what keeps weights may take to end: it has nothing to finish."""
RELEASE_MARGIN_S = 30.0
"""How much longer than its own drain a stop on a member of a group waits for the head."""
SHIM_MARGIN_S = 15.0
"""How much longer a shim may take before it is taken for stuck, and is killed."""


def longest_stop_s(engines: Iterable[EngineConfig]) -> float:
    """Return the seconds after SIGTERM in which all engines have ended, at the latest.

    A shim of an engine that is stuck itself takes `SHIM_MARGIN_S` more: no request is left then,
    and what kills it may as well be the runtime.
    """
    return max((_stop_s(each) for each in engines), default=CLEANUP_S)


def release_s(engine: EngineConfig) -> float:
    """Return how long a stop on a member of a group waits for the head, which drains."""
    return engine.unready_s + engine.drain_s + engine.stop_grace_s + RELEASE_MARGIN_S


def _stop_s(engine: EngineConfig) -> float:
    if is_member(engine):  # it ends itself then, and has no requests
        return release_s(engine) + engine.stop_grace_s + CLEANUP_S
    own = engine.unready_s + engine.drain_s + engine.stop_grace_s + CLEANUP_S
    weights = WEIGHTS_GRACE_S + SHIM_MARGIN_S + CLEANUP_S if engine.preload else 0.0
    return own + weights
