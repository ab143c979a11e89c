"""What a part of a group knows of its own engine, and tells of it."""

import asyncio
from collections.abc import Iterator
from typing import Protocol

import attrs

from vllmd.engine.process.run_state import Run
from vllmd.engine.status import EngineStatus
from vllmd.groups.page import GroupPage


class OwnEngine(Protocol):
    """What a part asks of the supervisor of its own engine."""

    @property
    def looked(self) -> asyncio.Event:
        """Set once it is known whether the engine runs."""
        ...

    @property
    def status(self) -> EngineStatus:
        """What is known now."""
        ...

    @property
    def run_now(self) -> Run | None:
        """What runs."""
        ...

    @property
    def is_wanted(self) -> bool:
        """Whether it is to run."""
        ...

    @property
    def has_served(self) -> bool:
        """Whether its run was ready."""
        ...

    @property
    def gpus_busy(self) -> bool | None:
        """Whether it computes; False only if its GPUs are idle, and its processes do nothing."""
        ...

    @property
    def idle_ranks(self) -> frozenset[int]:
        """The data parallel ranks whose GPUs and processes are known to do nothing."""
        ...

    def start(self) -> None:
        """Want it to run."""
        ...

    def restart(self) -> None:
        """Want it to end and to run again."""
        ...


@attrs.frozen
class Identity:
    """What a part says of itself that others compare."""

    command_hash: str
    vllm: str | None = None
    revision: str | None = None
    """The commit of the model in the hub's cache; None where it is a folder, or not here yet."""


def differences(host: str, page: GroupPage, own: Identity) -> Iterator[str]:
    """Yield what another host has otherwise than this one, and ought to have alike."""
    if page.vllm and own.vllm and page.vllm != own.vllm:
        yield f"{host} has vLLM {page.vllm}, this host {own.vllm}"
    if page.revision and own.revision and page.revision != own.revision:
        yield f"{host} has revision {page.revision} of the model, this host {own.revision}"
    if page.command_hash and page.command_hash != own.command_hash:
        yield f"the engine's table on {host} is another than on this host"
