from tests.helpers.make import engine
from vllmd.engine.sleeping import refusal
from vllmd.engine.state_machine import State
from vllmd.util.units import GIB

SLEEPS = engine("[engines.chat.sleep]")


def test_engine_without_the_table_is_told_to_get_one() -> None:
    said = refusal.of_settings(engine(), None)
    assert said is not None
    assert "[engines.chat.sleep]" in said
    assert refusal.of_settings(SLEEPS, None) is None


def test_level_2_is_refused_with_adapters_whoever_asks_for_it() -> None:
    with_adapters = engine("[engines.chat.lora]\n[engines.chat.sleep]")
    assert refusal.of_settings(with_adapters, 1) is None
    assert "adapters" in (refusal.of_settings(with_adapters, 2) or "")


def test_engine_sleeps_from_ready_alone() -> None:
    allowed = {state for state in State if refusal.of_state(state) is None}
    assert allowed == {State.READY, State.SLEEPING}


def test_weights_that_the_host_has_no_memory_for_stay_where_they_are() -> None:
    two = engine("flags = { tensor-parallel-size = 2 }\n[engines.chat.sleep]")
    sizes = {"weights": 10 * GIB}
    needed = refusal.weights_bytes(two, sizes)
    assert refusal.of_host_memory(needed, 20 * GIB) is None
    said = refusal.of_host_memory(needed, 19 * GIB)
    assert said is not None
    assert "20.0 GiB" in said
    assert "level 2" in said
    unknown = refusal.weights_bytes(two, {})
    assert refusal.of_host_memory(unknown, 0) is None, "nobody knows what they take"
