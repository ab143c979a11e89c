"""The panel of states knows all of them."""

from vllmd.engine.state_machine import State
from vllmd.monitoring.dashboards.states import STATES, states


def test_every_state_has_a_colour_and_a_word() -> None:
    assert set(STATES) == {str(state) for state in State}
    panel = states(12).to_json(1, 0, 0)
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert {option["text"] for option in mapping["options"].values()} == set(STATES)
    for value, option in mapping["options"].items():
        assert f'state="{option["text"]}"' in panel["targets"][0]["expr"]
        assert f"== 1) * {value}" in panel["targets"][0]["expr"]
