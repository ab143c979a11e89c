import socket

import pytest

from tests.helpers.make import engine
from vllmd.config import command
from vllmd.config.gpus import gpus_used, visible_gpus

HOSTS = f'hosts = ["{socket.gethostname()}", "198.51.100.7"]'


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
    ("keys", "count"),
    [
        ("", 1),
        ("flags.tensor-parallel-size = 4", 4),
        (
            "flags = { tensor-parallel-size = 2, pipeline-parallel-size = 2,"
            " data-parallel-size = 2 }",
            8,
        ),
        ("flags = { tensor-parallel-size = 2, prefill-context-parallel-size = 2 }", 4),
        ('flags.tensor-parallel-size = "odd"', 1),
        ("flags = { tensor-parallel-size = 16, nnodes = 2 }", 8),
        ("flags = { data-parallel-size = 16, data-parallel-size-local = 8 }", 8),
        (f'flags.tensor-parallel-size = 16\ngroup = {{ mode = "tensor", {HOSTS} }}', 8),
        (f'group = {{ mode = "data", ranks_per_host = 4, {HOSTS} }}', 4),
    ],
)
def test_gpus_used_are_those_of_this_host(keys: str, count: int) -> None:
    assert gpus_used(engine(keys)) == count
