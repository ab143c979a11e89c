"""Six outages whose kind, host, engine and minute are drawn by a seed: for the five-second test.

`tools/five_seconds.py` draws them. Who takes it looks at the pictures only, writes down what is
broken, since when, and what to do, and reads the truth after that:
`tests/dashboards/five_seconds.md` has what came of it.
"""

import random
from collections.abc import Callable

from tests.helpers.fleet.engine import Load, SceneEngine
from tests.helpers.fleet.gpus import SceneGpu
from tests.helpers.fleet.host import SceneHost
from tests.helpers.fleet.scenes import Scene, Step, loses_gpu
from vllmd.util.units import GIB

Fault = Callable[[SceneHost, SceneEngine, float], list[Step]]


def crashes(_host: SceneHost, engine: SceneEngine, minute: float) -> list[Step]:
    """It runs out of GPU memory again and again, and is held."""
    steps: list[Step] = []
    for number in range(3):
        at = minute + 3 * number
        steps.append((at, lambda now: engine.end(now, "cuda_out_of_memory")))
        if number < 2:
            steps += [(at + 0.3, engine.spawn), (at + 2.1, engine.serve)]
    return [*steps, (minute + 6.1, engine.held)]


def loses_a_gpu(host: SceneHost, engine: SceneEngine, minute: float) -> list[Step]:
    """A GPU falls off the bus, and its engine cannot start any more."""
    index = engine.gpus[0]
    return [
        (minute, lambda now: loses_gpu(host, index, now)),
        (minute + 0.2, lambda now: engine.end(now, "gpu_fault")),
        (minute + 0.8, engine.spawn),
    ]


def notebook(host: SceneHost, engine: SceneEngine, minute: float) -> list[Step]:
    """Somebody takes what is free of a GPU."""
    gpu = host.gpus[engine.gpus[0]]
    free = int(140.3 * GIB * (1 - engine.share)) - GIB // 2
    return [(minute, lambda _: setattr(gpu, "foreign_bytes", free))]


def fails_requests(_host: SceneHost, engine: SceneEngine, minute: float) -> list[Step]:
    """It answers 500 to almost everybody."""
    return [(minute, lambda _: setattr(engine.load, "failing_share", 0.8))]


def floods(_host: SceneHost, engine: SceneEngine, minute: float) -> list[Step]:
    """More is asked of it than it can do."""
    load = Load(4.0, first_token_s=1.4, queue_s=18.0, waiting=140, kv_usage=0.99)
    return [(minute, lambda _: setattr(engine, "load", load))]


def goes_silent(host: SceneHost, _engine: SceneEngine, minute: float) -> list[Step]:
    """Its vllmd cannot be reached."""
    return [(minute, lambda _: setattr(host, "answers", False))]


FAULTS: tuple[Fault, ...] = (
    crashes,
    loses_a_gpu,
    notebook,
    fails_requests,
    floods,
    goes_silent,
)


def drawn(seed: int) -> list[tuple[Scene, str]]:
    """Return the outages in a drawn order, each with the truth in a line."""
    dice = random.Random(seed)
    return [_outage(dice, fault) for fault in dice.sample(FAULTS, len(FAULTS))]


def scene(seed: int, number: int) -> Scene:
    """Return one of them, without its truth."""
    return drawn(seed)[number][0]


def _outage(dice: random.Random, fault: Fault) -> tuple[Scene, str]:
    hosts = [_host(number) for number in (1, 2, 3)]
    host = dice.choice(hosts)
    engine, minute = dice.choice(host.engines), float(dice.randint(15, 45))
    truth = f"{fault.__name__}: {engine.name} of {host.name} at minute {minute:g}"
    return Scene("outage", hosts, fault(host, engine, minute)), truth


def _host(number: int) -> SceneHost:
    engines = [SceneEngine(f"chat-{number}", (0,), 0.9), SceneEngine(f"code-{number}", (1,), 0.8)]
    return SceneHost(f"gpu-0{number}:9840", engines, [SceneGpu(0), SceneGpu(1)])
