"""What dashboards are drawn of: seven hours that a person may have to look at."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from tests.helpers.fleet.engine import Load, SceneEngine
from tests.helpers.fleet.gpus import SceneGpu
from tests.helpers.fleet.host import SceneHost
from vllmd.engine.state_machine import State
from vllmd.engine.weights.state import WeightsState
from vllmd.events.daemon import ConfigRefused
from vllmd.events.gpu import GpuLost
from vllmd.events.lora import LoraFailed
from vllmd.util.units import GIB

SHOWN_MIN = 60
BEFORE_MIN = 12
"""What has been stored before the hour that is shown, so that windows of five minutes are full."""
STEP_S = 30
Step = tuple[float, Callable[[float], Any]]
"""At which minute of the hour something happens, and what: it is given the time."""


@attrs.frozen
class Scene:
    """Hosts, and what happens to them in an hour."""

    name: str
    hosts: Sequence[SceneHost]
    script: Sequence[Step] = ()


def one_gpu() -> Scene:
    """Return a host with one busy engine: all is well."""
    return Scene(
        "one-gpu", [_host("gpu-01:9840", SceneEngine("chat", adapters=("sql", "support")))]
    )


def eight_gpus() -> Scene:
    """Return a host with eight GPUs and four engines, all well; one falls asleep."""
    night = SceneEngine("night", (6,), model="Qwen/Qwen3-14B")
    host = _eight(night)
    host.engines[0].weights = WeightsState.READY
    return Scene("eight-gpus", [host], [(20.0, night.sleep)])


def no_gpu() -> Scene:
    """Return a host without a GPU that serves a little."""
    host = _host("cpu-03:9840", SceneEngine("chat", gpus=(), model="Qwen/Qwen3-0.6B"))
    host.engines[0].load = Load(0.2, between_s=0.07)
    return Scene("no-gpu", [host])


def no_traffic() -> Scene:
    """Return a host whose engine nobody asks."""
    host = _host("gpu-01:9840", SceneEngine("chat", adapters=("sql",)))
    host.engines[0].load = Load(0.0)
    return Scene("no-traffic", [host])


def three_hosts() -> Scene:
    """Return three hosts, of which one never answered."""
    silent = SceneHost("gpu-04:9840")
    silent.answers = False
    one = _host("gpu-01:9840", SceneEngine("chat", adapters=("sql",)))
    return Scene("three-hosts", [one, _eight(), silent])


def limits() -> Scene:
    """Return a host where everything is at its limit."""
    host = _host("gpu-01:9840", SceneEngine("chat", share=0.95, adapters=("sql",)))
    host.engines[0].load = Load(
        4.0,
        first_token_s=2.2,
        queue_s=14.0,
        kv_usage=1.0,
        waiting=180,
        late_share=0.5,
        preemptions_per_s=1.5,
        cached_share=1.0,
    )
    host.gpus[0].hot = True
    host.disk_avail_bytes = 20 * GIB
    return Scene("limits", [host])


def outage() -> Scene:
    """Return three hosts with ten minutes of every kind of fault, from minute 35."""
    chat, code = SceneEngine("chat", (0,), adapters=("sql",)), SceneEngine("code", (1,), 0.8)
    first = _host("gpu-01:9840", chat, code)
    big = SceneEngine("big", (0, 1, 2, 3), model="Qwen/Qwen3-235B-A22B")
    second = _host("gpu-02:9840", big)
    third = _host("gpu-03:9840", SceneEngine("embed", (0,), 0.5))
    script: list[Step] = [
        (35.2, lambda at: chat.end(at, "cuda_out_of_memory")),
        (36.4, chat.spawn),
        (38.2, chat.serve),
        (38.9, lambda at: chat.end(at, "cuda_out_of_memory")),
        (39.4, chat.spawn),
        (41.2, chat.serve),
        (41.6, lambda at: chat.end(at, "cuda_out_of_memory")),
        (41.7, chat.held),
        (36.0, lambda at: loses_gpu(second, 2, at)),
        (36.2, lambda at: big.end(at, "gpu_fault")),
        (37.0, big.spawn),
        (37.0, lambda _: setattr(first.gpus[1], "foreign_bytes", 27 * GIB + GIB // 2)),
        (38.0, lambda _: setattr(code, "load", Load(3.0, queue_s=25.0, waiting=90, kv_usage=0.99))),
        (40.0, lambda _: setattr(code.load, "failing_share", 0.3)),
        (40.5, lambda at: fails_adapter(first, chat, "sql", at)),
        (41.0, lambda at: refuses_config(first, at)),
        (42.0, lambda _: setattr(third, "answers", False)),
        (45.0, lambda _: setattr(third, "answers", True)),
    ]
    return Scene("outage", [first, second, third], sorted(script, key=lambda step: step[0]))


def loses_gpu(host: SceneHost, index: int, at: float) -> None:
    """Let a GPU fall off the bus."""
    gpu = host.gpus[index]
    host.sees_xid(gpu, 79, at)
    gpu.lost_since = at
    host.mark(GpuLost(gpu=str(index), uuid=gpu.uuid, reason="lost"), at)


def fails_adapter(host: SceneHost, engine: SceneEngine, adapter: str, at: float) -> None:
    """Let an adapter be missing."""
    host.adapter_failed.add(adapter)
    host.mark(LoraFailed(adapter=adapter, reason="no such folder"), at, engine.name)


def refuses_config(host: SceneHost, at: float) -> None:
    """Let a file be refused."""
    host.config_good = False
    host.mark(ConfigRefused(problem="line 3: no such key"), at)


def _host(name: str, *engines: SceneEngine) -> SceneHost:
    count = 1 + max((gpu for engine in engines for gpu in engine.gpus), default=-1)
    return SceneHost(name, engines, [SceneGpu(index) for index in range(count)])


def _eight(*more: SceneEngine) -> SceneHost:
    engines = (
        SceneEngine("big", (0, 1, 2, 3), model="Qwen/Qwen3-235B-A22B"),
        SceneEngine("code", (4,), 0.9, adapters=("sql", "support")),
        SceneEngine("embed", (5,), 0.45, model="Qwen/Qwen3-Embedding-8B"),
        *more,
    )
    return SceneHost("gpu-02:9840", engines, [SceneGpu(index) for index in range(8)])


SCENES: Sequence[Callable[[], Scene]] = (
    one_gpu,
    eight_gpus,
    no_gpu,
    no_traffic,
    outage,
    three_hosts,
    limits,
)


def begin(scene: Scene, at: float) -> None:
    """Let all hosts be there, and their engines serve, some minutes after their start."""
    for host in scene.hosts:
        host.begin(at)
        for engine in host.engines:
            engine.state = State.READY
            engine.spawn(at - 7200)
            engine.serve(at - 7080)
