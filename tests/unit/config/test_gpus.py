from tests.helpers.make import engine
from vllmd.config import command
from vllmd.config.gpus import visible_gpus


def test_visible_gpus_the_engines_own_variable_wins() -> None:
    assert visible_gpus(command.build(engine(), {}).env) is None
    inherited = {"CUDA_VISIBLE_DEVICES": "0, 1"}
    assert visible_gpus(command.build(engine(), inherited).env) == frozenset({"0", "1"})
    own = engine('env = { CUDA_VISIBLE_DEVICES = "0" }')
    assert visible_gpus(command.build(own, inherited).env) == frozenset({"0"})
