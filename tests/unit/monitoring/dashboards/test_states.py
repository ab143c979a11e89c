"""The panel of states knows all of them."""

from vllmd.engine.state_machine import State
from vllmd.engine.weights.state import WeightsState
from vllmd.monitoring.dashboards.states import STATES, WEIGHTS, states


def test_every_state_of_kept_weights_has_a_colour_and_a_word() -> None:
    assert set(WEIGHTS) == {str(state) for state in WeightsState}


def test_every_state_has_a_colour_and_a_word() -> None:
    assert set(STATES) == {str(state) for state in State}
    panel = states(12).to_json(1, 0, 0)
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    options = dict(mapping["options"])
    assert options.pop("0")["text"] == "host is silent"
    assert {option["text"] for option in options.values()} == set(STATES)
    assert len({option["color"] for option in options.values()}) == len(STATES)
    for value, option in options.items():
        assert f'state="{option["text"]}"' in panel["targets"][0]["expr"]
        assert f"== 1) * {value}" in panel["targets"][0]["expr"]
