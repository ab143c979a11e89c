"""Parts of a group without processes and networks: each has an engine that a test moves."""

import asyncio
import errno
from collections.abc import Collection
from typing import Any

import attrs
import httpx

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine, status
from vllmd.config.fleet import FleetHost
from vllmd.config.group import GroupConfig
from vllmd.engine.exits import Exit
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.process.run_state import Run
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.fleet.pages import HostPages, PageAccess
from vllmd.groups.page import from_json
from vllmd.groups.part import GroupPart
from vllmd.groups.peers import PeerWatch
from vllmd.util.loop_lag import LoopLag


def _no_route(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no") from OSError(errno.EHOSTUNREACH, "No route to host")


CUT_OFF = HostPages(PageAccess(), transport=httpx.MockTransport(_no_route))
"""What asks hosts of which none answers; with a `Network` none of them is asked by TCP."""
CONFIGURED = engine()
HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")


class Network:
    """Of all hosts that are asked by TCP: whether nothing comes back."""

    def __init__(self) -> None:
        self.cut: bool | None = True

    async def is_cut(self, addresses: Collection[str], port: int) -> bool | None:
        assert addresses
        assert port
        return self.cut


@attrs.define
class OwnOfATest:
    """The engine of one host, as a test wants it to be."""

    run: str | None = None
    state: State = State.WAITING
    is_wanted: bool = True
    has_served: bool = False
    gpus_busy: bool | None = None
    idle_ranks: frozenset[int] = frozenset()
    place: str | None = None
    last_exit: Exit | None = None
    problem: str | None = None
    hold: Hold | None = None
    acted: list[str] = attrs.field(factory=list)
    looked: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def run_now(self) -> Run | None:
        return Run.of(self.run, "hash", CONFIGURED, self.place) if self.run else None

    @property
    def status(self) -> EngineStatus:
        shim_pid = 7 if self.run else None
        return status(
            "big",
            state=self.state,
            run_id=self.run,
            shim_pid=shim_pid,
            last_exit=self.last_exit,
            problem=self.problem,
            hold=self.hold,
        )

    def start(self) -> None:
        self.acted.append("start")

    def restart(self) -> None:
        self.acted.append("restart")

    def serve(self, run: str) -> None:
        self.run, self.state, self.has_served = run, State.READY, True

    def end(self, label: str, at: float, *, requested: bool = False, **more: Any) -> None:
        assert self.run is not None
        self.last_exit = Exit(label, requested=requested, at=at, run_id=self.run, **more)
        self.run, self.state, self.has_served = None, State.WAITING, False


class Grouped:
    """Some parts, which hear each other when a test says so."""

    def __init__(self, count: int = 2, mode: str = "tensor") -> None:
        self.clock = FakeClock()
        self.lag = LoopLag(self.clock)
        group = GroupConfig(hosts=tuple(map(FleetHost, HOSTS[:count])), mode=mode)
        self.own = [OwnOfATest() for _ in range(count)]
        self.parts = [self._part(group, rank) for rank in range(count)]
        self.requests = OperatorRequests()
        self.said: list[str] = []

    def _part(self, group: GroupConfig, rank: int) -> GroupPart:
        own = self.own[rank]
        own.looked.set()
        part = GroupPart("big", group, rank, self.lag, lambda: own)
        own.place = part.place
        return part

    @property
    def head(self) -> GroupPart:
        return self.parts[0]

    @property
    def member(self) -> GroupPart:
        return self.parts[1]

    def begun_anew(self, rank: int) -> GroupPart:
        """Return a part as the next daemon of a host makes it: its engine runs on."""
        return self._part(self.head.group, rank)

    def hear(self, rank: int, other: int) -> None:
        """Have one host read another's page, by the words that go over the wire."""
        watch = self.parts[rank].peers[other]
        heard(watch, self.parts[other], self.clock.monotonic())
        self.parts[rank].decide()

    def hear_all(self) -> None:
        for rank in range(1, len(self.parts)):
            self.hear(rank, 0)
        for rank in range(1, len(self.parts)):
            self.hear(0, rank)

    def waiting(self, rank: int) -> "asyncio.Task[str | None]":
        """Have a host want to start."""
        wanted = self.own[rank]
        return asyncio.ensure_future(
            self.parts[rank].next_run(self.requests, lambda: wanted.is_wanted, self.said.append)
        )

    async def serving(self) -> str:
        """Have all serve; return the generation."""
        tasks = [self.waiting(rank) for rank in range(len(self.parts))]
        await asyncio.sleep(0)
        self.hear_all()
        generation = await tasks[0]
        assert generation is not None
        self.own[0].serve(generation)
        for rank in range(1, len(self.parts)):
            self.hear(rank, 0)
            run = await tasks[rank]
            assert run == f"{generation}-{rank}"
            self.own[rank].serve(run)
            self.hear(0, rank)
        self.hear_all()
        return generation


def heard(watch: PeerWatch, other: GroupPart, now: float) -> None:
    """Have an answer arrive."""
    watch.page, watch.asked_at = from_json(other.page().to_json()), now
    watch.heard()
