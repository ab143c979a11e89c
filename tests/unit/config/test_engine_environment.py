import pytest

from tests.helpers.make import engine
from vllmd.config.engine_environment import build, env_table, own_variables
from vllmd.config.rules import RuleError


@pytest.mark.parametrize("table", [{"A B": "x"}, {"A": True}, {"A": "x\0"}, [1]])
def test_env_table_refuses_what_is_no_variable(table: object) -> None:
    with pytest.raises(RuleError):
        env_table(table)


HARMFUL = {
    "TRACEPARENT": "t",
    "VLLMD__ENGINES__B__ENV__HF_TOKEN": "of another engine",
    "vllmd__traces__forward__headers__x-api-key": "k",
}


def test_environment_scrubs_and_adds() -> None:
    env = build(engine('env = { A = "own" }'), {"A": "x", "B": "b", **HARMFUL})
    assert env["A"] == "own"
    assert env["B"] == "b"
    assert not HARMFUL.keys() & env.keys()
    assert env["PROMETHEUS_DISABLE_CREATED_SERIES"] == "true"


def test_own_variables_let_adapters_change_where_they_are_dynamic() -> None:
    given = engine('lora = { modules = { a = "/x" } }')
    assert own_variables(given)["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    static = engine('lora = { dynamic = false, modules = { a = "/x" } }')
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in own_variables(static)
