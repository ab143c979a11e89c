"""Why an engine cannot be put to sleep, or not be woken, before anything is tried."""

from collections.abc import Mapping

import attrs
import psutil

from vllmd.config.gpus import gpus_used
from vllmd.config.model import EngineConfig
from vllmd.config.sleep import DISCARD
from vllmd.engine.loading.memory_sizes import WEIGHTS
from vllmd.engine.state_machine import State
from vllmd.util.units import format_bytes


@attrs.frozen
class Refused:
    """Why it was refused; `at` is seconds since the epoch, `since` and `until` are monotonic."""

    why: str
    at: float
    since: float
    until: float


def of_settings(engine: EngineConfig, level: int | None) -> str | None:
    """Say why its settings do not let it sleep at a level; None if they do."""
    if engine.sleep is None:
        return (
            f"it has no sleep mode: write the table [engines.{engine.name}.sleep], then 'vllmd "
            f"reload --apply', which restarts it"
        )
    if level == DISCARD and engine.lora is not None:
        return "level 2 drops the weights, and vLLM does not bring adapters back at a wake"
    return None


def of_state(state: State) -> str | None:
    """Say why an engine in this state is not put to sleep; None if it can be."""
    if state in (State.READY, State.SLEEPING):
        return None
    return f"it is {state}: an engine sleeps from ready alone"


def of_host_memory(
    engine: EngineConfig, sizes: Mapping[str, int], available: int | None = None
) -> str | None:
    """Say that the host has no memory for the weights, which level 1 keeps there; None if it has.

    What the weights take is known if their load was seen. `available` is in bytes.
    """
    if WEIGHTS not in sizes:
        return None
    needed = sizes[WEIGHTS] * gpus_used(engine.flags)
    left = psutil.virtual_memory().available if available is None else available
    if needed <= left:
        return None
    return (
        f"level 1 keeps its weights in the host's memory, {format_bytes(needed)}, and "
        f"{format_bytes(left)} are available: level 2 needs none"
    )
