import json

from tests.helpers.make import gpu, gpu_device, gpu_figures
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.snapshot import SeenXid


def test_figures_are_json() -> None:
    one = gpu(
        owners={(Owner.ENGINE, "chat"): 5, (Owner.FREE, None): 7},
        holders=(Holder(1, 5, Owner.ENGINE, "chat", "VLLM::EngineCore", "vllmd", 9),),
        xids=(SeenXid.of(79, 1, 5.0),),
    )
    shown = json.loads(json.dumps(gpu_figures(one, problem=ReaderProblem("hung", "why")).to_json()))
    assert shown["problem"] == {"reason": "hung", "text": "why"}
    (device,) = shown["gpus"]
    assert device["owners"][0] == {"owner": "engine", "engine": "chat", "bytes": 5}
    assert device["processes"][0]["owner"] == "engine"
    assert device["xids"][0]["action"] == "reboot"


def test_profile_is_that_of_an_instance() -> None:
    name = "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    instance = gpu(device=gpu_device("MIG-1", name=name, parent="GPU-1", gpu_instance=7))
    assert instance.profile == "1g.10gb"
    assert gpu().profile == ""
