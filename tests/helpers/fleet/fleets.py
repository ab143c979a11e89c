"""Fleets of three hosts and of three hundred: what the dashboard above hosts is drawn of."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs

from tests.helpers.fleet.engine import SceneEngine
from tests.helpers.fleet.host import SceneHost
from tests.helpers.fleet.scenes import Scene, Step
from vllmd.collectors.base import Collector
from vllmd.config.fleet import FleetConfig
from vllmd.config.metrics import ConfigCollector
from vllmd.daemon.metrics.build import BuildCollector
from vllmd.engine.group_interface import UNREACHABLE, AwaitedHost, GroupStatus
from vllmd.engine.metrics import EnginesCollector
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus

FLEET = "prod"
BIG = "Qwen/Qwen3-235B-A22B"
OTHER_VERSION = "0.33.0"
HUNDREDS = 300


class FleetEngine(SceneEngine):
    """An engine of which only the state counts; its vLLM has no page."""

    version = "0.32.0"
    group: GroupStatus | None = None
    wrong: str | None = None

    @property
    def serves(self) -> bool:
        """Whether requests get answers."""
        return self.state is State.READY

    def serve(self, at: float) -> None:
        """Serve from now on."""
        self.becomes(State.READY, at)

    def pass_time(self, now: float, seconds: float) -> list[Any]:
        """Nothing is asked of it."""
        del now, seconds
        return []

    def samples(self) -> Iterator[bytes]:
        """Its vLLM shows nothing."""
        return iter(())

    def status(self, now: float) -> EngineStatus:
        """Return what vllmd knows of it."""
        return attrs.evolve(
            super().status(now),
            group=self.group,
            fingerprint="5f1d9e0c",
            wrong_answers=self.wrong,
        )

    def answers_wrong(self, at: float) -> None:
        """Serve on, and answer another thing than before."""
        del at
        self.wrong = "a probe was answered otherwise"


class FleetHost(SceneHost):
    """A host that shows its engines only; its page is made anew when one of them changes."""

    engines: Sequence[FleetEngine]  # type: ignore[assignment]

    def __init__(self, name: str, *engines: FleetEngine, fleet: str = FLEET) -> None:
        self._fleet = fleet
        self._shown: tuple[Any, list[tuple[bytes, bytes, bytes]]] = (None, [])
        super().__init__(name, engines)

    def samples(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield the page's samples."""
        now = [
            (each.state, each.since, each.group, each.version, each.wrong) for each in self.engines
        ]
        if self._shown[0] != now:
            self._shown = now, list(super().samples())
        yield from self._shown[1]

    def _collectors(self) -> Iterator[Collector]:
        clock: Any = self._clock
        versions = {each.name: each for each in self.engines}
        yield BuildCollector()
        table = FleetConfig(name=self._fleet, min_ready=2)
        yield ConfigCollector(lambda: (True, self._began), fleet=lambda: table)
        yield EnginesCollector(
            self._statuses, clock, lambda name: versions[name].version, lambda: self._fleet
        )


def group_of(*hosts: FleetHost) -> None:
    """Make the engines `big` of these hosts one; the first is the head."""
    name = f"big@{hosts[0].name.partition(':')[0]}"
    for rank, host in enumerate(hosts):
        states = {each.name: str(State.READY) for each in hosts} if rank == 0 else {}
        role = "member" if rank else "head"
        for engine in host.engines:
            if engine.name == "big":
                engine.group = GroupStatus(role, rank, "tensor", states, name)


def lacks(head: FleetHost, member: FleetHost) -> Callable[[float], None]:
    """Return what happens when a group's member is gone: the head waits for it."""

    def happen(at: float) -> None:
        member.answers = False
        (engine,) = [each for each in head.engines if each.name == "big"]
        assert engine.group is not None
        engine.group = attrs.evolve(
            engine.group,
            hosts={head.name: str(State.WAITING), member.name: UNREACHABLE},
            awaited=AwaitedHost(member.name, UNREACHABLE),
        )
        engine.becomes(State.WAITING, at)

    return happen


def fleet_three() -> Scene:
    """Return three hosts and one that never answered.

    One engine is held, one answers wrong, and a group lacks a host.
    """
    hosts = [
        FleetHost(f"gpu-0{n}:9840", FleetEngine("chat"), FleetEngine("big", model=BIG))
        for n in (1, 2)
    ]
    third = FleetHost("gpu-03:9840", FleetEngine("chat"))
    third.engines[0].version = OTHER_VERSION
    never = FleetHost("gpu-04:9840")
    never.answers = False
    group_of(*hosts)
    chat = third.engines[0]
    script: list[Step] = [
        (25.0, lambda at: chat.end(at, "cuda_out_of_memory")),
        (26.0, chat.spawn),
        (28.0, lambda at: chat.end(at, "cuda_out_of_memory")),
        (28.5, chat.held),
        (38.0, hosts[0].engines[0].answers_wrong),
        (45.0, lacks(*hosts)),
    ]
    return Scene("fleet-three", [*hosts, third, never], script)


def fleet_hundreds() -> Scene:
    """Return three hundred hosts: a rack that is silent for minutes, an upgrade, some faults."""
    hosts = [
        FleetHost(f"gpu-{n:03}:9840", FleetEngine("big" if n < 40 else "chat", model=_model(n)))
        for n in range(HUNDREDS)
    ]
    for n in range(0, 40, 2):
        group_of(*hosts[n : n + 2])
    for host in hosts[-3:]:
        host.answers = False
    script: list[Step] = [(50.0, lacks(hosts[6], hosts[7]))]
    for number, host in enumerate(hosts[100:130]):
        script += _upgraded(host, 5.0 + number)
    for host in hosts[200:240]:
        script += [(20.0, _answers(host, now=False)), (26.0, _answers(host, now=True))]
    for number in (60, 77, 150):
        engine = hosts[number].engines[0]
        script += [
            (40.0 + number / 30, partial(engine.end, cause="cuda_out_of_memory")),
            (42.0 + number / 30, engine.held),
        ]
    return Scene("fleet-hundreds", hosts, sorted(script, key=lambda step: step[0]))


def _model(number: int) -> str:
    return BIG if number < 40 else ("Qwen/Qwen3-32B", "Qwen/Qwen3-14B")[number % 2]


def _answers(host: FleetHost, *, now: bool) -> Callable[[float], None]:
    return lambda _: setattr(host, "answers", now)


def _upgraded(host: FleetHost, minute: float) -> list[Step]:
    engine = host.engines[0]

    def served(at: float) -> None:
        engine.version = OTHER_VERSION
        engine.serve(at)

    return [
        (minute, lambda at: engine.becomes(State.DRAINING, at)),
        (minute + 0.5, engine.spawn),
        (minute + 3, served),
    ]


FLEETS: Sequence[Callable[[], Scene]] = (fleet_three, fleet_hundreds)
