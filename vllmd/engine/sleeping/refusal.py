"""Why an engine cannot be put to sleep, or not be woken, before anything is tried."""

from collections.abc import Mapping

import attrs

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


def weights_bytes(engine: EngineConfig, sizes: Mapping[str, int]) -> int | None:
    """Return what level 1 keeps in the host's memory; None if the load was not seen."""
    return sizes[WEIGHTS] * gpus_used(engine) if WEIGHTS in sizes else None


def of_host_memory(needed: int | None, left: int) -> str | None:
    """Say that there is no memory for the weights, in bytes; None if there is, or is not known."""
    if needed is None or needed <= left:
        return None
    return (
        f"level 1 keeps its weights in the host's memory, {format_bytes(needed)}, and "
        f"{format_bytes(left)} are available: level 2 needs none"
    )
