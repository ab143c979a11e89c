"""GPUs of a container: what it was given is less than the host has, and is told before a start."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.container.box import CHAT, STAND_IN, Box, container
from tests.container.image import Image
from tests.helpers.nvml import FakeNvml, h200, library
from tests.helpers.site import wait_for

ENDS = """
import sys
print("RuntimeError: Failed to infer device type, please set the environment variable", flush=True)
sys.exit(1)
"""
MIG = {
    "mig_mode": "1 1",
    "mig_max": 7,
    "mig.0.uuid": "MIG-5c1",
    "mig.0.name": "NVIDIA H200 MIG 1g.18gb",
    "mig.0.memory": f"{18 << 30} 0 {18 << 30} 0",
    "mig.0.gpu_instance": 7,
    "mig.0.compute_instance": 0,
}


def with_gpus(image: Image, folder: Path, *gpus: Mapping[str, Any], **env: str) -> Any:
    """Run vllmd with an engine that finds no GPU, and the NVML of these."""
    nvml = folder / "nvml"
    nvml.mkdir()
    (nvml / "libnvidia-ml.so.1").write_bytes((library() / "libnvidia-ml.so.1").read_bytes())
    FakeNvml(nvml, *map(dict, gpus))
    given = {
        **STAND_IN,
        f"{CHAT}EXECUTABLE": json.dumps(["/usr/bin/python3", "-c", ENDS]),
        "LD_LIBRARY_PATH": "/srv/nvml",
        "VLLMD_FAKE_NVML": "/srv/nvml/nvml.script",
        **env,
    }
    return container(image, folder, given, volumes={"nvml": nvml})


def all_are_read(box: Box) -> bool:
    gpus = json.loads(box.run("vllmd", "gpu", "--json", code=None))["gpus"]
    return bool(gpus) and all(each["values"] for each in gpus)


def found(box: Box, check: str) -> list[str]:
    """Return what the doctor finds in there, once the daemon has read the GPUs."""
    wait_for("a daemon", lambda: box.get("/-/healthy")[0] == 200)
    wait_for("the GPUs", lambda: all_are_read(box))
    answer = json.loads(box.run("vllmd", "doctor", "--json", "--offline", code=None))
    return [each["found"] for each in answer["findings"] if each["check"] == check]


def test_number_of_the_hosts_is_told_and_the_engine_is_held(image: Image, folder: Path) -> None:
    """Two of the host's were given, and an engine names one as the host counts."""
    gpus = (h200(0, "GPU-a"), h200(1, "GPU-b"))
    env = {f"{CHAT}ENV__CUDA_VISIBLE_DEVICES": "3", "NVIDIA_VISIBLE_DEVICES": "2,3"}
    with with_gpus(image, folder, *gpus, **env) as box:
        wait_for("its hold", lambda: box.state() == "held")
        engine = box.engine()
        assert engine["last_exit"]["diagnosis"]["cause"] == "no_gpu"
        assert box.said.count("event=engine.spawned") == 1, "no crash loop"
        assert found(box, "visible-devices") == [
            "CUDA_VISIBLE_DEVICES = '3' names '3', and 2 GPUs are here (the container was given "
            "the host's 2,3; in it they count from 0)"
        ]
        wait_for("the doubt", lambda: "check=visible-devices" in box.said)
        assert [box.get(f"/-/{each}")[0] for each in ("started", "healthy")] == [503, 200]


@pytest.mark.parametrize(
    ("gpus", "said", "wrong"),
    [
        ((h200(0, "GPU-a"), h200(1, "GPU-b")), "GPU-b", None),
        ((h200(0, "GPU-a", denied=1), h200(1, "GPU-b")), "1", "'1', and 1 GPU is here"),
        ((h200(0, "GPU-a"),), "all", "'all', which is a word of NVIDIA_VISIBLE_DEVICES and no GPU"),
        ((h200(0, "GPU-a", **MIG),), "MIG-5c1", None),
    ],
)
def test_gpu_that_is_named_is_looked_for_among_those_that_are_let_in(
    image: Image, folder: Path, gpus: tuple[Mapping[str, Any], ...], said: str, wrong: str | None
) -> None:
    with with_gpus(image, folder, *gpus, CUDA_VISIBLE_DEVICES=said) as box:
        findings = found(box, "visible-devices")
    expected = [] if wrong is None else [f"CUDA_VISIBLE_DEVICES = '{said}' names {wrong}"]
    assert findings == expected
