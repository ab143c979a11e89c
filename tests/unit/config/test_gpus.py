import pytest

from tests.helpers.make import engine
from vllmd.config import command
from vllmd.config.gpus import gpus_used, visible_gpus


def test_visible_gpus_the_engines_own_variable_wins() -> None:
    assert visible_gpus(command.build(engine(), {}).env) is None
    inherited = {"CUDA_VISIBLE_DEVICES": "0, 1"}
    assert visible_gpus(command.build(engine(), inherited).env) == ("0", "1")
    own = engine('env = { CUDA_VISIBLE_DEVICES = "0" }')
    assert visible_gpus(command.build(own, inherited).env) == ("0",)


def test_visible_gpus_keep_their_order() -> None:
    assert visible_gpus({}) is None
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": " 1,0, GPU-5 ,"}) == ("1", "0", "GPU-5")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        ({}, 1),
        ({"tensor-parallel-size": 4}, 4),
        ({"tensor-parallel-size": 2, "pipeline-parallel-size": 2, "data-parallel-size": 2}, 8),
        ({"tensor-parallel-size": 2, "prefill-context-parallel-size": 2}, 4),
        ({"tensor-parallel-size": "odd"}, 1),
    ],
)
def test_gpus_used(flags: dict[str, object], count: int) -> None:
    assert gpus_used(flags) == count
