"""What a prober is told of its engine: where its run, page, GPUs and costs meet."""

import functools
from collections.abc import Callable

from vllmd.config.model import Config, EngineConfig
from vllmd.cost.service import CostService
from vllmd.daemon.engines import Engines
from vllmd.engine.answers import Answers
from vllmd.engine.status import EngineStatus
from vllmd.gpu.service import GpuService
from vllmd.probe.prober import EngineView, GpuSight
from vllmd.scrape.families import total

CORRUPTED = b"vllm:corrupted_requests_total"
"""Only with VLLM_COMPUTE_NANS_IN_LOGITS=1. Source: vllm/v1/metrics/loggers.py of 0.32."""
ECC = "ecc_errors_total:uncorrected"


def view_of(
    engines: Engines,
    gpus: GpuService,
    costs: CostService,
    config: Callable[[], Config],
    engine: EngineConfig,
) -> EngineView:
    """Return what is told of one engine, as it is at each moment; `config` is what is in force."""
    name = engine.name
    return EngineView(
        status=functools.partial(_status, engines, name),
        answers=functools.partial(_answers, engines, name),
        gpus=lambda: _sight(gpus, config().engines.get(name, engine)),
        corrupted=functools.partial(_corrupted, engines, name),
        spent=functools.partial(costs.asked, name),
    )


def _status(engines: Engines, name: str) -> EngineStatus | None:
    supervisor = engines.supervisors.get(name)
    return supervisor.status if supervisor is not None else None


def _answers(engines: Engines, name: str) -> Answers | None:
    supervisor = engines.supervisors.get(name)
    return supervisor.answers if supervisor is not None else None


def _sight(gpus: GpuService, engine: EngineConfig) -> GpuSight:
    devices = gpus.gpus_of(engine)
    faults: dict[str, float] = {}
    for device in devices:
        if gpus.state_file.late is None:
            faults[f"xids {device.uuid}"] = sum(s.count for s in gpus.xids.of(device.uuid))
        if (errors := gpus.values(device).get(ECC)) is not None:
            faults[f"ecc {device.uuid}"] = errors
    names, uuids = tuple(each.name for each in devices), tuple(each.uuid for each in devices)
    return GpuSight(names, faults, uuids)


def _corrupted(engines: Engines, name: str) -> float | None:
    source = engines.sources.get(name)
    page = source.last if source is not None else None
    return None if page is None else total(page.families, CORRUPTED)
