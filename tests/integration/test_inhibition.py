"""What keeps others quiet, by a real Alertmanager: the cause is told, its consequences are not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.ports import free_port
from tests.helpers.servers import running
from tests.helpers.site import needs, wait_for

CONFIG = Path(__file__).parents[2] / "etc" / "alertmanager" / "alertmanager.yml"
ENGINE = {"instance": "h:9840", "vllmd_engine": "chat"}
GPU = {"instance": "h:9840", "uuid": "GPU-0", "gpu": "0"}
DISK = {"instance": "h:9840", "role": "logs"}
OTHER = {
    "instance": "other:9840",
    "vllmd_engine": "chat",
    "uuid": "GPU-9",
    "gpu": "0",
    "role": "logs",
}
QUIETED = {
    "VllmdDown": (ENGINE, ["VllmdEngineNotReady", "VllmdGpuLost", "VllmdDiskFull"]),
    "VllmdEngineHeld": (ENGINE, ["VllmdEngineDown", "VllmdEngineRestartLoop"]),
    "VllmdEngineStalled": (ENGINE, ["VllmdTtftBudgetBurn", "VllmdKvCacheSaturated"]),
    "VllmdGpuLost": (GPU, ["VllmdGpuXidFatal", "VllmdGpuRecoveryAction"]),
    "VllmdVramOrphan": (GPU, ["VllmdVramRestartWontFit"]),
    "VllmdVramExhaustion": (ENGINE, ["VllmdVramLeak"]),
    "VllmdTtftBudgetBurn": (ENGINE, ["VllmdTtftBudgetSlowBurn"]),
    "VllmdItlBudgetBurn": (ENGINE, ["VllmdItlBudgetSlowBurn"]),
    "VllmdGpuXidFatal": (GPU, ["VllmdGpuXidNotCleared"]),
    "VllmdGpuEccUncorrected": (GPU, ["VllmdGpuEccNotCleared"]),
    "VllmdDiskFull": (DISK, ["VllmdDiskFilling"]),
}


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    needs("prometheus-alertmanager")
    file = tmp_path / "alertmanager.yml"
    file.write_text(re.sub(r"http://127.0.0.1:9095/", "http://127.0.0.1:1/", CONFIG.read_text()))
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    with running(
        "prometheus-alertmanager",
        f"--config.file={file}",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        log=tmp_path / "alertmanager.log",
        up=lambda: _ready(url),
    ):
        yield url


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def tell(url: str, *alerts: dict[str, str]) -> None:
    body = [{"labels": labels} for labels in alerts]
    httpx.post(f"{url}/api/v2/alerts", json=body, trust_env=False).raise_for_status()


def told(url: str) -> dict[tuple[str, str], bool]:
    """Return whether each alert, by name and host, is quieted."""
    found: list[dict[str, Any]] = httpx.get(f"{url}/api/v2/alerts", trust_env=False).json()
    return {
        (each["labels"]["alertname"], each["labels"]["instance"]): bool(
            each["status"]["inhibitedBy"]
        )
        for each in found
    }


@pytest.mark.parametrize("cause", QUIETED)
def test_cause_quiets_its_consequences_and_those_of_no_other_host(
    alertmanager: str, cause: str
) -> None:
    labels, consequences = QUIETED[cause]
    tell(alertmanager, {"alertname": cause, **labels})
    wait_for("the cause", lambda: (cause, "h:9840") in told(alertmanager))
    for name in consequences:
        tell(alertmanager, {"alertname": name, **labels}, {"alertname": name, **OTHER})
    wait_for("all of them", lambda: len(told(alertmanager)) == 1 + 2 * len(consequences))
    wanted = {(cause, "h:9840"): False}
    for name in consequences:
        wanted |= {(name, "h:9840"): True, (name, "other:9840"): False}
    wait_for(f"{wanted}", lambda: told(alertmanager) == wanted, 10)
