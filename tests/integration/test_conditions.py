"""Conditions of engines and the alerts of the same names, over one table of states."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.site import needs
from tests.helpers.status_scenes import NOW, Scene, clock_at, failure, ready
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.metrics import EnginesCollector
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.monitoring.alerts import every_alert

STALLED_LOAD = Diagnosis("load_stalled", Kind.TRANSIENT, "It stopped.", "Look.")
VARIANTS: dict[str, dict[str, Any]] = {
    "wanted": {},
    "unwanted": {"wanted": False},
    "awaits-memory": {"awaited_memory": Shortage("0", 2**30, (), True)},
    "awaits-load": {"awaited_load": "another"},
    "load-stalled": {"last_exit": failure(600, diagnosis=STALLED_LOAD)},
}
ALERTS = {
    "VllmdEngineDown",
    "VllmdEngineHeld",
    "VllmdEngineStalled",
    "VllmdEngineLoadStalled",
    "VllmdEngineAwaitsMemory",
}


def table() -> list[EngineStatus]:
    """Return an engine in each state, so long that every alert has waited, for each variant."""
    hold = Hold("kv_cache_too_small", "No room.", NOW - 600, None, "abc")
    return [
        ready(
            f"{state}-{name}",
            state=state,
            since=NOW - 600,
            **({"hold": hold} if state is State.HELD else {}),
            **more,
        )
        for state in State
        for name, more in VARIANTS.items()
    ]


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={json.dumps(text)}" for name, text in labels.items()) + "}"


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_condition_holds_for_the_engines_that_the_alert_names(name: str, tmp_path: Path) -> None:
    needs("promtool")
    engines = table()
    found = Scene(engines).service().document()["conditions"]
    named = sorted(c["engine"] for c in found if c["alert"] == name)
    (alert,) = [each for each in every_alert() if each.name == name]
    samples = [
        sample
        for family in EnginesCollector(lambda: engines, clock_at(NOW)).collect()
        for sample in family.samples
    ]
    test = {
        "interval": "1m",
        "input_series": [
            {
                "series": sample.name + _labels({"instance": "h", **sample.labels}),
                "values": f"{sample.value:.0f}x5",
            }
            for sample in samples
        ],
        "promql_expr_test": [
            {
                "expr": f"group by (vllmd_engine) ({alert.expr})",
                "eval_time": "1m",
                "exp_samples": [
                    {"labels": _labels({"vllmd_engine": each}), "value": 1} for each in named
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"rule_files": [], "tests": [test]}))  # JSON is YAML
    told = subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert named, "one of them at least"
    assert told.returncode == 0, told.stdout + told.stderr
