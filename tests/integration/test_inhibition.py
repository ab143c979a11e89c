"""What keeps others quiet, by a real Alertmanager: the cause is told, its consequences are not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.alertmanager import Alertmanager, alertmanager, unquieted
from tests.helpers.site import wait_for

ENGINE = {"instance": "h:9840", "vllmd_engine": "chat"}
GPU = {"instance": "h:9840", "uuid": "GPU-0", "gpu": "0"}
DISK = {"instance": "h:9840", "role": "logs"}
OTHER = {
    "vllmd_engine": "chat",
    "uuid": "GPU-9",
    "gpu": "0",
    "role": "logs",
    "fleet": "other",
}
FLEET = {"instance": "h:9840", "fleet": "prod", "model": "m", "models": "all"}
QUIETED = {
    "VllmdReplicasNone": (FLEET, ["VllmdReplicasLow", "VllmdEngineDown", "VllmdGroupIncomplete"]),
    "VllmdGroupIncomplete": (ENGINE, ["VllmdDown", "VllmdEngineDown", "VllmdEngineNotReady"]),
    "VllmdDown": (ENGINE, ["VllmdEngineNotReady", "VllmdGpuLost", "VllmdDiskFull"]),
    "VllmdEngineHeld": (
        ENGINE,
        ["VllmdEngineDown", "VllmdEngineRestartLoop", "VllmdGroupIncomplete"],
    ),
    "VllmdEngineDown": (ENGINE, ["VllmdEngineNotReady"]),
    "VllmdEngineLoadStalled": (ENGINE, ["VllmdEngineDown", "VllmdEngineNotReady"]),
    "VllmdEngineAwaitsMemory": (
        {**ENGINE, **GPU},
        ["VllmdEngineNotReady", "VllmdVramForeign", "VllmdVramRestartWontFit"],
    ),
    "VllmdEngineRestartLoop": (
        ENGINE,
        ["VllmdEngineDown", "VllmdEngineNotReady", "VllmdRequestsLost"],
    ),
    "VllmdEngineStalled": (ENGINE, ["VllmdTtftBudgetBurn", "VllmdKvCacheSaturated"]),
    "VllmdGpuLost": (GPU, ["VllmdGpuXidFatal", "VllmdGpuRecoveryAction"]),
    "VllmdVramOrphan": (GPU, ["VllmdVramRestartWontFit", "VllmdEngineAwaitsMemory"]),
    "VllmdVramRestartWontFit": ({**ENGINE, **GPU}, ["VllmdVramForeign"]),
    "VllmdVramExhaustion": (ENGINE, ["VllmdVramLeak"]),
    "VllmdTtftBudgetBurn": (ENGINE, ["VllmdTtftBudgetSlowBurn"]),
    "VllmdItlBudgetBurn": (ENGINE, ["VllmdItlBudgetSlowBurn"]),
    "VllmdGpuXidFatal": (GPU, ["VllmdGpuXidNotCleared"]),
    "VllmdGpuEccUncorrected": (GPU, ["VllmdGpuEccNotCleared"]),
    "VllmdDiskFull": (DISK, ["VllmdDiskFilling"]),
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Alertmanager]:
    with alertmanager(tmp_path) as one:
        yield one


@pytest.mark.parametrize("cause", QUIETED)
def test_cause_quiets_its_consequences_and_those_of_no_other_host(
    made: Alertmanager, cause: str
) -> None:
    labels, consequences = QUIETED[cause]
    told = [{"alertname": name, **labels} for name in (cause, *consequences)]
    others = {f"{name}:9840": {name} for name in consequences}
    told += [{"alertname": name, **OTHER, "instance": f"{name}:9840"} for name in consequences]
    made.tell(*((each, {}) for each in told))
    unquieted(made, {"h:9840": {cause}, **others})


def test_model_without_a_replica_quiets_no_engine_of_another_model(made: Alertmanager) -> None:
    of_fleet = {"fleet": "prod", "model": "m"}
    engines = {"a:9840": {"VllmdEngineHeld"}, "b:9840": {"VllmdDown"}}
    told = [{"alertname": "VllmdReplicasNone", **of_fleet, "instance": "h:9840"}]
    told += [{"alertname": "VllmdReplicasLow", **of_fleet, "instance": "h:9840"}]
    told += [
        {"alertname": name, "instance": instance, "fleet": "prod", "vllmd_engine": "chat"}
        for instance, names in engines.items()
        for name in names
    ]
    made.tell(*((each, {}) for each in told))
    unquieted(made, {"h:9840": {"VllmdReplicasNone"}, **engines})


def test_host_that_is_scraped_at_times_is_told_of_and_what_it_tells_as_well(
    made: Alertmanager,
) -> None:
    flaps = {"alertname": "VllmdDown", "scraped": "at times", "instance": "h:9840"}
    made.tell((flaps, {}), ({"alertname": "VllmdGpuLost", **GPU}, {}))
    unquieted(made, {"h:9840": {"VllmdDown", "VllmdGpuLost"}})


def test_host_that_is_down_now_is_told_of_once(made: Alertmanager) -> None:
    down = {"alertname": "VllmdDown", "instance": "h:9840"}
    made.tell((down, {}), ({**down, "scraped": "at times"}, {}))
    wait_for("one kept quiet", lambda: any(quiet for _, quiet in made.quieted()))
    (told,) = [labels for labels, quiet in made.quieted() if not quiet]
    assert "scraped" not in told
