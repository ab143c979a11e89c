"""What comes and goes: a GPU, NVML as a whole, an engine that is held, a daemon that restarts."""

from collections.abc import Iterator

from tests.helpers.fleet.engine import SceneEngine
from tests.helpers.fleet.gpus import SceneGpu
from tests.helpers.fleet.host import SceneHost
from tests.helpers.fleet.scenes import Scene, Step, loses_gpu
from vllmd.events.gpu import GpuFound

FROM_MIN, EVERY_MIN = 20, 4
"""Half of the time it is well."""
LOST_AT_MIN = 56
"""Since when the GPU does not answer at the end of the hour."""
RESTARTED_MIN = 45.0
HELD = "config_rejected"


def flapping() -> Scene:
    """Return three hosts, on each of which something comes and goes from minute 20 on."""
    gpu = SceneHost("gpu-01:9840", [SceneEngine("code", (0,))], [SceneGpu(0), SceneGpu(1)])
    nvml = SceneHost("gpu-02:9840", [SceneEngine("big", (0,))], [SceneGpu(0)])
    held = SceneHost("gpu-03:9840", [SceneEngine("chat", (0,))], [SceneGpu(0)])
    script = [*_gpu(gpu), *_nvml(nvml), *_engine(held.engines[0]), *_daemon(nvml)]
    return Scene("flapping", [gpu, nvml, held], sorted(script, key=lambda step: step[0]))


def _times() -> Iterator[float]:
    yield from range(FROM_MIN, LOST_AT_MIN, EVERY_MIN)


def _gpu(host: SceneHost) -> Iterator[Step]:
    def found(at: float) -> None:
        host.gpus[1].lost_since = None
        host.mark(GpuFound(gpu="1", uuid=host.gpus[1].uuid, after="lost"), at)

    for minute in _times():
        yield minute, lambda at: loses_gpu(host, 1, at)
        yield minute + EVERY_MIN / 2, found
    yield LOST_AT_MIN, lambda at: loses_gpu(host, 1, at)


def _nvml(host: SceneHost) -> Iterator[Step]:
    for minute in _times():
        yield minute, lambda at: setattr(host, "read_at", at)
        yield minute + EVERY_MIN / 2, lambda _: setattr(host, "read_at", None)
    yield LOST_AT_MIN, lambda at: setattr(host, "read_at", at)


def _engine(engine: SceneEngine) -> Iterator[Step]:
    """Let it be held, be tried again, end at once, wait a little, and be held."""
    yield FROM_MIN - 1, lambda at: engine.end(at, HELD)
    for minute in _times():
        yield minute, engine.held
        yield minute + 2, engine.spawn
        yield minute + 3, lambda at: engine.end(at, HELD)
    yield LOST_AT_MIN, engine.held


def _daemon(host: SceneHost) -> Iterator[Step]:
    """Let the daemon be away for a minute, and count anew."""
    yield RESTARTED_MIN, lambda _: setattr(host, "answers", False)
    yield RESTARTED_MIN + 1, host.starts_anew
